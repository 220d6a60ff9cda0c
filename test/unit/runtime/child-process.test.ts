import { fileURLToPath } from 'node:url'
import { describeExit, freePort, type RunningProcess, startProcess } from '@muster/runtime'
import { afterEach, describe, expect, it } from 'vitest'
import type { ProcessOptions } from '../../../libs/runtime/src/process/child-process.ts'

const fixture = (name: string) => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url))

const running: RunningProcess[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((child) => child.stop()))
})

async function start(options: Partial<ProcessOptions>): Promise<RunningProcess> {
  const env = { PATH: process.env.PATH }
  const child = await startProcess({ name: 'a test', command: '/bin/sh', args: [], env, ready: 'spawned', ...options })
  running.push(child)
  return child
}

const sh = (script: string): Partial<ProcessOptions> => ({ args: ['-c', script] })

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Waits until the process is gone, or a zombie that nobody in this container collects. */
async function expectGone(pid: number): Promise<void> {
  await expect.poll(() => isAlive(pid), { timeout: 10_000 }).toBe(false)
}

describe('startProcess', () => {
  it('is ready with the first line that matches', async () => {
    const child = await start({
      ...sh('echo one; echo listening on 80 >&2; exec sleep 60'),
      ready: /listening on (\d+)/,
    })
    expect(child.readyValue).toBe('listening on 80')
  })

  it('hands every line of both streams to the log', async () => {
    const lines: string[] = []
    const child = await start({ ...sh('echo out; echo err >&2; printf unfinished'), log: (line) => lines.push(line) })
    await child.exited
    expect(lines.toSorted()).toEqual(['err', 'out', 'unfinished'])
  })

  it('rejects with the last lines when the process ends early', async () => {
    const early = start({ ...sh('for n in $(seq 30); do echo line $n; done; exit 3'), ready: /never/ })
    await expect(early).rejects.toThrow(
      /a test ended early, with status 3\. Its last lines:\n {2}line 11\n(?:.*\n)* {2}line 30$/,
    )
  })

  it('rejects when the command does not exist', async () => {
    await expect(start({ command: '/nowhere/program' })).rejects.toThrow(/a test could not be started: .*ENOENT/)
  })

  it('stops a process that is not ready in time', async () => {
    const lines: string[] = []
    const late = start({
      ...sh('echo $$; exec sleep 60'),
      ready: /never/,
      readyTimeoutMs: 200,
      log: (line) => lines.push(line),
    })
    await expect(late).rejects.toThrow('a test was not ready within 200 ms')
    await expectGone(Number(lines[0]))
  })

  it('stops a process whose start is given up', async () => {
    const lines: string[] = []
    const giveUp = new AbortController()
    const log = (line: string) => {
      lines.push(line)
      giveUp.abort(new Error('given up'))
    }
    const starting = start({ ...sh('echo $$; exec sleep 60'), ready: /never/, signal: giveUp.signal, log })
    await expect(starting).rejects.toThrow('given up')
    await expectGone(Number(lines[0]))
  })

  it('gives the child the named environment and nothing else', async () => {
    const lines: string[] = []
    const child = await start({ command: '/usr/bin/env', env: { ONLY: 'this' }, log: (line) => lines.push(line) })
    await child.exited
    expect(lines).toEqual(['ONLY=this'])
  })

  it('writes the given text to the standard input', async () => {
    const child = await start({ command: '/bin/cat', stdinText: 'hello\n' })
    expect(await child.exited).toEqual({ code: 0, signal: undefined })
    expect(child.lastLines()).toEqual(['hello'])
  })

  it('runs the child in a process group of its own, out of reach of Ctrl-C', async () => {
    const child = await start({ ...sh('ps -o pgid= -p $$; exec sleep 60'), ready: /\d/ })
    expect(Number(child.readyValue)).toBe(child.pid)
  })

  it('stops with SIGTERM, as often as it is asked', async () => {
    const child = await start({
      ...sh('trap "echo bye; exit 7" TERM; echo ready; while :; do sleep 0.05; done'),
      ready: /ready/,
    })
    await Promise.all([child.stop(), child.stop()])
    expect(await child.exited).toEqual({ code: 7, signal: undefined })
    expect(child.lastLines()).toContain('bye')
  })

  it('kills the whole group when SIGTERM does not help', async () => {
    const script = 'trap "" TERM; sleep 60 & echo $!; while :; do wait; done'
    const child = await start({ ...sh(script), ready: /\d/, stopTimeoutMs: 100 })
    await child.stop()
    expect(describeExit(await child.exited)).toBe('by SIGKILL')
    await expectGone(Number(child.readyValue))
  })
})

describe('a child with diesWithParent', () => {
  it('keeps its exit status and its standard input', async () => {
    const child = await start({ ...sh('cat; exit 5'), diesWithParent: true, stdinText: 'hello\n' })
    expect(await child.exited).toEqual({ code: 5, signal: undefined })
    expect(child.lastLines()).toEqual(['hello'])
  })

  it('gets SIGTERM by stop, and is waited for', async () => {
    const script = 'trap "sleep 0.2; echo bye; exit 7" TERM; echo ready; while :; do sleep 0.05; done'
    const child = await start({ ...sh(script), ready: /ready/, diesWithParent: true })
    await child.stop()
    expect(await child.exited).toEqual({ code: 7, signal: undefined })
    expect(child.lastLines()).toContain('bye')
  })

  it('is told to end when the parent is killed', async () => {
    const script = 'echo ready $$; exec sleep 60'
    const lines: string[] = []
    const parent = await start({
      command: process.execPath,
      args: [fixture('parent.mjs'), 'spawned', '/bin/sh', '-c', script],
      ready: /^child \d+$/,
      log: (line) => lines.push(line),
    })
    const sleeper = Number(lines.find((line) => line.startsWith('ready'))?.slice('ready '.length))
    expect(isAlive(sleeper)).toBe(true)
    process.kill(parent.pid, 'SIGKILL')
    await expectGone(sleeper)
  })
})

describe('a child that runs runProcess', () => {
  it('ends in order when its parent is killed', async () => {
    const parent = await start({
      command: process.execPath,
      args: [fixture('parent.mjs'), 'message', process.execPath, fixture('living.mjs'), 'idle'],
      ready: /^child \d+$/,
    })
    const child = Number(String(parent.readyValue).slice('child '.length))
    expect(isAlive(child)).toBe(true)
    process.kill(parent.pid, 'SIGKILL')
    await expectGone(child)
  })
})

describe('freePort', () => {
  it('gives a port that can be listened on', async () => {
    const port = await freePort()
    expect(port).toBeGreaterThan(1023)
  })
})
