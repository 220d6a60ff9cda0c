/**
 * What a command of a chaos run does on its host, as a shell script, and what it must have printed, byte for byte.
 *
 * It notes its start, its end and that it is still alive in a file that Muster does not know of. A note is one write
 * to a file opened for appending, so notes never mix.
 */
import type { ChaosHost, PlannedJob } from './commands.ts'

/** What a command is sent. */
export type ScriptContext = {
  /** Tells this chaos run's processes from all others on the machine. */
  readonly nonce: string
  /** The file of notes; witness.ts reads it. */
  readonly notesFile: string
}

/** Ticks of half a second that a command which is to be stopped would go on for. */
const LOOP_TICKS = 40

/** By this a process of a command is recognised, in its environment or its arguments. */
function processMark(nonce: string, id: string): string {
  return `CHAOS_ID=${nonce}-${id}`
}

/** The command line of a job. Plain POSIX sh. */
export function scriptOf(job: PlannedJob, { nonce, notesFile }: ScriptContext): string {
  return [
    `export ${processMark(nonce, job.id)}`,
    // The address it was reached at is the host's name for itself.
    'set -- $SSH_CONNECTION; h=$3',
    `note() { printf '%s %s %s %s\\n' ${job.id} "$h" "$(date +%s%3N)" "$*" >>'${notesFile}'; }`,
    'note start',
    `printf '%s %s\\n' ${job.id} "$h"`,
    ...body(job),
  ].join('\n')
}

function body(job: PlannedJob): string[] {
  const tick = `i=0; while [ $i -lt ${LOOP_TICKS} ]; do sleep 0.5; note alive; i=$((i+1)); done`
  switch (job.kind) {
    case 'quick':
      return ['note end 0']
    case 'sleep':
      return [`sleep ${job.seconds}`, 'note end 0']
    case 'output':
    case 'flood':
      return [...linesOf(job, 'stdout', 'o'), ...linesOf(job, 'stderr', 'e').map((line) => `${line} >&2`), 'note end 0']
    case 'fail':
      return [`note end ${job.exitCode}`, `exit ${job.exitCode}`]
    case 'signal':
      return ['ulimit -c 0', `note end SIG${job.signal}`, `kill -s ${job.signal} $$`]
    case 'loop':
      return [tick, 'note end 0']
    case 'stubborn':
      return ["trap '' TERM", tick, 'note end 0']
    case 'family':
      return [`( ${tick} ) &`, tick, 'wait', 'note end 0']
    default:
      return job.kind satisfies never
  }
}

function linesOf(job: PlannedJob, stream: 'stdout' | 'stderr', letter: string): string[] {
  const count = job.lines[stream]
  if (count === 0) return []
  return [`awk -v h="$h" 'BEGIN { for (i = 0; i < ${count}; i++) printf "${job.id} %s ${letter} %07d\\n", h, i }'`]
}

/** What a command prints when nobody stops it. One that is stopped has printed the beginning of it. */
export function expectedOutput(
  job: PlannedJob,
  { address, isMerged }: Pick<ChaosHost, 'address' | 'isMerged'>,
): { stdout: Buffer; stderr: Buffer } {
  const lines = (count: number, letter: string) =>
    Array.from({ length: count }, (_, i) => `${job.id} ${address} ${letter} ${String(i).padStart(7, '0')}\n`).join('')
  const stdout = `${job.id} ${address}\n${lines(job.lines.stdout, 'o')}`
  const stderr = lines(job.lines.stderr, 'e')
  // A durable run writes them to two files before the account has a say.
  const isOne = isMerged && !job.durable
  return { stdout: Buffer.from(isOne ? stdout + stderr : stdout), stderr: Buffer.from(isOne ? '' : stderr) }
}
