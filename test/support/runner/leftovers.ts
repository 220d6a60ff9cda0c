/** What a test file leaves behind: open handles, child processes, temporary files, keys in the shared Redis. */
import type { ChildProcess } from 'node:child_process'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { removeKeys, strayKeys } from './stray-keys.ts'

/** Sockets and processes take a moment to go: looks again until nothing is left, or for so long. */
const PATIENCE_MS = 10_000
const LOOK_EVERY_MS = 50

/** Handles that keep a process alive. Timers do not count, as Vitest has some of its own. */
const HANDLES = new Set([
  'TCPSocketWrap',
  'TCPServerWrap',
  'PipeWrap',
  'PipeServerWrap',
  'ProcessWrap',
  'UDPWRAP',
  'MessagePort',
  'FSEventWrap',
])

/** Looks after one test file. */
export type LeftoverWatch = {
  /** What the file has left, a line for each; waits a moment for things to go. */
  leftovers(): Promise<string[]>
  /** Ends the processes that are left, and removes the files and keys. */
  close(): Promise<void>
}

/** Begins to watch. The process gets a directory for temporary files, so that what is left there is its own. */
export function watchLeftovers(redisUrl: string, { patienceMs = PATIENCE_MS } = {}): LeftoverWatch {
  const { TMPDIR } = process.env
  const ownDir = mkdtempSync(join(tmpdir(), 'muster-test-'))
  // The "hosts" of the tests are other users of this machine.
  chmodSync(ownDir, 0o1777)
  process.env.TMPDIR = ownDir
  const children: ChildProcess[] = []
  const remember = (message: unknown) => {
    if (isSpawn(message)) children.push(message.process)
  }
  subscribe('child_process', remember)
  const handles = countHandles()
  let keys: readonly string[] = []
  const look = async () => {
    // Before Redis is asked, which takes a socket.
    const open = newHandles(handles)
    keys = await strayKeys(redisUrl)
    return [
      ...open,
      ...livingProcesses(children).map(({ pid, words }) => `process ${pid}: ${words}`),
      ...readdirSync(ownDir).map((name) => `temporary file ${name}`),
      ...keys.map((key) => `Redis key ${key}, of this file or of one beside it`),
    ]
  }
  return {
    leftovers: async () => {
      const endMs = performance.now() + patienceMs
      for (;;) {
        // A look takes long on a busy machine: the last one begins when patience has ended.
        const isLast = performance.now() >= endMs
        const found = await look()
        if (found.length === 0 || isLast) return found
        await sleep(LOOK_EVERY_MS)
      }
    },
    close: async () => {
      unsubscribe('child_process', remember)
      for (const { pid } of livingProcesses(children)) process.kill(pid, 'SIGKILL')
      if (TMPDIR === undefined) delete process.env.TMPDIR
      else process.env.TMPDIR = TMPDIR
      rmSync(ownDir, { recursive: true, force: true })
      if (keys.length > 0) await removeKeys(redisUrl, keys)
    },
  }
}

function isSpawn(message: unknown): message is { process: ChildProcess } {
  return typeof message === 'object' && message !== null && 'process' in message
}

function countHandles(): Map<string, number> {
  const counts = new Map<string, number>()
  for (const name of process.getActiveResourcesInfo()) {
    if (HANDLES.has(name)) counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return counts
}

function newHandles(before: ReadonlyMap<string, number>): string[] {
  return [...countHandles()]
    .filter(([name, count]) => count > (before.get(name) ?? 0))
    .map(([name, count]) => `${count - (before.get(name) ?? 0)} open ${name}`)
}

/**
 * Processes that this one has started, directly or not. Of those whose parent has died it finds the ones in a process
 * group that one of its children leads.
 */
function livingProcesses(children: readonly ChildProcess[]): Array<{ pid: number; words: string }> {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => readProcess(Number(name)))
  const started = new Set(children.flatMap(({ pid }) => pid ?? []))
  const own = new Set([process.pid])
  // Parents usually have lower numbers than their children, but numbers wrap around.
  for (let size = 0; size < own.size; ) {
    size = own.size
    for (const { pid, parent, group } of all) if (own.has(parent) || started.has(group)) own.add(pid)
  }
  own.delete(process.pid)
  return all.filter(({ pid }) => own.has(pid))
}

function readProcess(pid: number): Array<{ pid: number; parent: number; group: number; words: string }> {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const [state, parent, group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').slice(0, 200)
    return state === 'Z' ? [] : [{ pid, parent: Number(parent), group: Number(group), words }]
  } catch {
    // It has ended meanwhile.
    return []
  }
}
