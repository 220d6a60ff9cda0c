/** What processes have cost so far: CPU time and memory, from /proc (proc(5)). Linux only. */
import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { descendantsOf } from '../support/ssh/sshd.ts'

/** Clock ticks a second that /proc counts in; fixed at 100 on every Linux that Node runs on. */
const TICKS_PER_S = 100

/** A tool that hangs is a fault of the benchmark's own; none takes longer for five hundred hosts. */
const TOOL_TIMEOUT_MS = 300_000

/** Runs its arguments; then says on file descriptor 3 what they cost, children and all: times(1p). */
const TIMED = `"$@" 3>&- ; status=$?; times >&3; exit "$status"`

/**
 * CPU time of a process so far and of everything below it, user and system, in milliseconds; steps of 10 ms. Of
 * processes that have ended, those that somebody waited for.
 */
export async function treeCpuMs(pid: number): Promise<number> {
  const each = await Promise.all([pid, ...(await descendantsOf(pid))].map((one) => cpuMs(one, 4)))
  return each.reduce((sum, ms) => sum + ms, 0)
}

/** CPU time so far of all processes whose command line holds this text, without their children's. */
export async function namedCpuMs(text: string): Promise<number> {
  const pids = (await readdir('/proc')).map(Number).filter((pid) => pid > 0 && pid !== process.pid)
  const each = pids.map(async (pid) => {
    const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '') // It has ended meanwhile.
    return commandLine.includes(text) ? await cpuMs(pid, 2) : 0
  })
  return (await Promise.all(each)).reduce((sum, ms) => sum + ms, 0)
}

/**
 * The first 2 or all 4 CPU times of a process: user and system, of itself and of its children that ended. 0: it has
 * ended.
 */
async function cpuMs(pid: number, fieldCount: 2 | 4): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // The command name, in parentheses, may hold spaces; fields are counted after it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const ticks = fields.slice(11, 11 + fieldCount).reduce((sum, field) => sum + Number(field), 0)
  return (ticks * 1_000) / TICKS_PER_S
}

/** What a command took: wall time and CPU time, its children's and theirs included. */
export type Cost = { readonly wallMs: number; readonly cpuMs: number; readonly out: string }

/**
 * Runs a command to its end and tells what it took. A background process that nobody waits for is not in it.
 * @throws when it fails, with the end of what it said
 */
export async function runTimed(command: readonly string[], env: NodeJS.ProcessEnv): Promise<Cost> {
  const startedMs = performance.now()
  // The figures come behind everything else on stderr.
  const { stdout, stderr } = await promisify(execFile)('sh', ['-c', `exec 3>&2; ${TIMED}`, 'sh', ...command], {
    env,
    timeout: TOOL_TIMEOUT_MS,
    maxBuffer: 2 ** 26,
  })
  const wallMs = performance.now() - startedMs
  // The shell's own times are in the first line; what it ran is in the second.
  const [minutes = [], ...rest] = [...(stderr.trimEnd().split('\n').at(-1) ?? '').matchAll(/(\d+)m([\d.]+)s/g)]
  const seconds = [minutes, ...rest].reduce((sum, [, min = '0', s = '0']) => sum + Number(min) * 60 + Number(s), 0)
  return { wallMs, cpuMs: seconds * 1_000, out: stdout }
}

/** The most memory a process ever had in use, in MB. */
export async function peakMemoryMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN) / 1_024)
}

/** The memory that a process has in use now, in MB. */
export async function memoryMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN) / 1_024)
}

/** The middle value; NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const [low = Number.NaN, high = Number.NaN] = [sorted[middle - (sorted.length % 2 === 0 ? 1 : 0)], sorted[middle]]
  return (low + high) / 2
}
