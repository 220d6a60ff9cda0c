/** What runs on this machine, which is also the "host" of the tests: whether it is still there, and until it is not. */
import { execFile } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'

const runFile = promisify(execFile)

/** The command lines of all processes of a process group, dead ones left out. */
export async function membersOf(group: number): Promise<string[]> {
  return await argsOf((pgid) => pgid === group)
}

/** The command lines of the watchdogs of a command. */
export async function watchdogsOf(pid: number): Promise<string[]> {
  return await argsOf((_pgid, args) => args.includes(`muster-watchdog ${pid} `))
}

/** Resolves once a look finds nothing; the test's own deadline is the limit. */
export async function untilNone(look: () => Promise<readonly string[]>): Promise<void> {
  while ((await look()).length > 0) await delay(100)
}

/** Those of the processes that are still there, dead ones left out. */
export async function stillRunning(pids: readonly number[]): Promise<number[]> {
  const running = await pidsOf(() => true)
  return pids.filter((pid) => running.includes(pid))
}

/** The process IDs whose command line is wanted. */
export async function pidsOf(isWanted: (args: string) => boolean): Promise<number[]> {
  const { stdout } = await runFile('ps', ['-A', '-ww', '-o', 'pid=,stat=,args='], { maxBuffer: 64 * 1024 * 1024 })
  return [...stdout.matchAll(/^ *(\d+) +([^Z\s]\S*) +(.*)$/gm)]
    .filter(([, , , args = '']) => isWanted(args))
    .map(([, pid]) => Number(pid))
}

async function argsOf(isWanted: (pgid: number, args: string) => boolean): Promise<string[]> {
  const { stdout } = await runFile('ps', ['-A', '-ww', '-o', 'pgid=,stat=,args='], { maxBuffer: 64 * 1024 * 1024 })
  return [...stdout.matchAll(/^ *(\d+) +([^Z\s]\S*) +(.*)$/gm)]
    .filter(([, pgid, , args = '']) => isWanted(Number(pgid), args))
    .map(([, , , args = '']) => args)
}

/** The command lines of all processes of an account, dead ones left out. */
export async function processesOf(user: string): Promise<string[]> {
  const args = ['-u', user, '-ww', '-o', 'pgid=,stat=,args=']
  const { stdout } = await runFile('ps', args).catch(() => ({ stdout: '' })) // ps fails when there is none.
  return [...stdout.matchAll(/^ *(\d+) +([^Z\s]\S*) +(.*)$/gm)].map(([, , , line = '']) => line)
}
