/** Writes the answers of the profile `original`: why a command is no success, lines of a directory, full disks. */
import {
  type DirectoryEntry,
  type DirectoryLines,
  type DirectoryList,
  type DiskPercents,
  type DiskUsage,
  escapeLine,
  exitDetail,
  type HostTest,
  isTerminalRun,
  type Run,
  type SshConnectionTest,
} from '@muster/contract'
import { unforced } from '../operations/looks/look.ts'

/** As much of a run as its caller may know. */
type Told = Pick<Run, 'state' | 'remote' | 'reason' | 'detail' | 'exit_code' | 'output_complete'>

/** Whether the command has succeeded; null where nobody knows, or not yet. */
export function successOf(state: Run['state']): boolean | null {
  if (state === 'succeeded') return true
  return state === 'lost' || !isTerminalRun(state) ? null : false
}

/** Why the command is no success, or what else there is to know; null for one that has succeeded. */
export function errorMessageOf(run: Told, timeoutS: number): string | null {
  const { state, remote, reason, exit_code: code } = run
  const detail = unforced(run.detail)
  const doubt = run.output_complete ? '' : ' It may have printed more than is known.'
  const why = [state, reason, detail].filter((part) => part !== null && part !== '').join(', ')
  if (!isTerminalRun(state)) return unfinished(state, timeoutS)
  if (state === 'succeeded') return doubt === '' ? null : `The command has succeeded.${doubt}`
  if (state === 'lost') {
    return `Nobody knows how the command ended (${why}). It may have run: look at the host before you run it again.`
  }
  if (remote === 'not_started') return `The command was not started: ${why}.`
  if (code !== null && (detail === null || detail === exitDetail(code)))
    return `The command exited with ${code}.${doubt}`
  return `The command ended without success: ${why}.${doubt}`
}

function unfinished(state: Run['state'], timeoutS: number): string {
  const how =
    state === 'running'
      ? `it is running, and is killed ${timeoutS} s after its start`
      : `it has not started yet (${state})`
  const next = 'wait_job with the job_id waits for its end, get_output reads what it prints, cancel_job ends it'
  return `The command has not ended yet: ${how}. It goes on by itself, so do not run it again: ${next}.`
}

/** The test of a connection. */
export function toConnectionTest(test: HostTest): SshConnectionTest {
  const { host, ok, reason, detail, state, connect_ms: ms, exit_code, job_id } = test
  const why = [reason ?? state, detail].filter((part) => part !== null).join(': ')
  const message =
    ok === true ? `Connected to ${host}${ms === null ? '' : ` in ${ms} ms`}.` : ok === null ? `${detail}` : why
  return { success: ok, message, exit_code, job_id }
}

/** A directory as the lines of a long listing. */
export function toDirectoryLines(list: DirectoryList, now: Date): DirectoryLines {
  const [group] = list.groups
  if (group === undefined) return noLines(problemOf(list), list.job_id)
  const { entries, total_entries: total } = group
  const left = total - entries.length
  const told = `The first ${entries.length} of ${total} entries; execute_remote_command can list the others.`
  return {
    result: entries.map((entry) => lineOf(entry, now)),
    error_message: left > 0 ? told : null,
    job_id: list.job_id,
  }
}

/** The answer where there is nothing to list. An empty list would be an empty directory. */
export function noLines(why: string, jobId: string | null): DirectoryLines {
  return { result: [`Error: ${escapeLine(why)}`], error_message: why, job_id: jobId }
}

/** The first letter of a line, by the type of an entry. */
const LETTERS: Readonly<Record<string, string>> = {
  file: '-',
  directory: 'd',
  symlink: 'l',
  fifo: 'p',
  socket: 's',
  block: 'b',
  char: 'c',
}
/** How ls writes what it does not know. The number of links is never asked for. */
const UNKNOWN = '?'

/** The nine columns of `ls -la`, with a blank between each two. */
function lineOf(entry: DirectoryEntry, now: Date): string {
  const { name, type, size_bytes: size, mode, owner, group, modified_at: modifiedAt, target } = entry
  const columns = [
    `${LETTERS[type] ?? UNKNOWN}${mode === undefined ? UNKNOWN.repeat(9) : permissions(Number.parseInt(mode, 8))}`,
    UNKNOWN,
    owner ?? UNKNOWN,
    group ?? UNKNOWN,
    size ?? UNKNOWN,
    modifiedAt === undefined ? `${UNKNOWN} ${UNKNOWN} ${UNKNOWN}` : timeOf(new Date(modifiedAt), now),
    target === undefined ? name : `${name} -> ${target}`,
  ]
  return escapeLine(columns.join(' '))
}

/** `rwxr-xr-x` for 0755; `s` and `t` as ls writes them for set-ID and sticky bits. */
function permissions(mode: number): string {
  const special = [mode & 0o4000 ? 's' : '', mode & 0o2000 ? 's' : '', mode & 0o1000 ? 't' : '']
  return special
    .map((letter, i) => {
      const bits = mode >> (6 - 3 * i)
      const last = letter === '' ? (bits & 1 ? 'x' : '-') : bits & 1 ? letter : letter.toUpperCase()
      return `${bits & 4 ? 'r' : '-'}${bits & 2 ? 'w' : '-'}${last}`
    })
    .join('')
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
/** Half a year: an older file is shown with its year in place of its time. */
const RECENT_MS = 182.5 * 24 * 3_600_000

/** `Nov 30 22:10`, or `Nov 30 2024` for what is not of the last half year; UTC. */
function timeOf(time: Date, now: Date): string {
  const ageMs = now.getTime() - time.getTime()
  const clock = time.toISOString().slice(11, 16)
  const last = ageMs >= 0 && ageMs < RECENT_MS ? clock : time.getUTCFullYear()
  return `${MONTHS[time.getUTCMonth()]} ${time.getUTCDate()} ${last}`
}

/** How full each file system is. Where several have one name, each is called by its mount point, too. */
export function toDiskPercents(usage: DiskUsage): DiskPercents {
  const { filesystems, filesystems_left_out: left, job_id } = usage
  const names = filesystems.map(({ filesystem }) => filesystem)
  const isTwice = (name: string) =>
    names.indexOf(name) !== names.lastIndexOf(name) || name === 'error' || name === 'job_id'
  const percents = filesystems.map(({ filesystem, mount, used_percent: percent }) => {
    return [isTwice(filesystem) ? `${filesystem} on ${mount}` : filesystem, `${percent}%`]
  })
  const isWhole = filesystems.length > 0 && usage.problems.length === 0 && left === 0
  const error = left > 0 ? `${left} less full file systems are left out` : problemOf(usage)
  return { ...Object.fromEntries(percents), ...(isWhole ? {} : { error }), job_id }
}

/** Why a host gave no answer, or not a whole one. */
function problemOf({ problems, not_ended: open }: DirectoryList | DiskUsage): string {
  const [first] = problems
  if (first !== undefined) return first.problem
  return open > 0
    ? 'No answer yet; it goes on by itself: wait_job with the job_id, then call this again'
    : 'The host has named nothing'
}
