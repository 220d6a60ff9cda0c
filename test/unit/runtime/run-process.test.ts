import { fileURLToPath } from 'node:url'
import { type RunningProcess, startProcess } from '@muster/runtime'
import { afterEach, describe, expect, it } from 'vitest'
import type { Exit } from '../../../libs/runtime/src/process/child-process.ts'

const PROGRAM = fileURLToPath(new URL('fixtures/living.mjs', import.meta.url))

const running: RunningProcess[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((child) => child.stop()))
})

/** Starts the fixture and collects what it prints; `ready` is the line to wait for, or its IPC message. */
async function live(behaviour: string, ready: RegExp | 'message' = /^started$/) {
  const lines: string[] = []
  const child = await startProcess({
    name: behaviour,
    command: process.execPath,
    args: [PROGRAM, behaviour],
    env: { PATH: process.env.PATH },
    ready,
    log: (line) => lines.push(line),
  })
  running.push(child)
  const steps = () => lines.filter((line) => !line.startsWith('{'))
  return { child, lines, steps }
}

const EXIT_0: Exit = { code: 0, signal: undefined }
const EXIT_1: Exit = { code: 1, signal: undefined }

describe('runProcess', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('closes in reverse order on %s and exits with 0', async (signal) => {
    const { child, steps } = await live('idle')
    process.kill(child.pid, signal)
    expect(await child.exited).toEqual(EXIT_0)
    expect(steps()).toEqual(['started', 'closed second', 'closed first'])
  })

  it('exits at once on the second signal', async () => {
    const { child, lines, steps } = await live('slow')
    process.kill(child.pid, 'SIGTERM')
    await expect.poll(() => lines.join('')).toContain('closing: SIGTERM')
    process.kill(child.pid, 'SIGINT')
    expect(await child.exited).toEqual({ code: 130, signal: undefined })
    expect(steps()).toEqual(['started'])
  })

  it('exits with 1 when closing takes longer than the grace', async () => {
    const { child, lines } = await live('stuck')
    process.kill(child.pid, 'SIGTERM')
    expect(await child.exited).toEqual(EXIT_1)
    expect(lines.join('')).toContain('closing took longer than 100 ms')
  })

  it.each(['rejection', 'exception'])('logs an uncaught %s, closes and exits with 1', async (behaviour) => {
    const { child, lines, steps } = await live(behaviour)
    expect(await child.exited).toEqual(EXIT_1)
    expect(lines.join('')).toContain('nobody caught me')
    expect(steps()).toEqual(['started', 'closed second', 'closed first'])
  })

  it('closes and exits with 1 when a part reports that it failed', async () => {
    const { child, lines, steps } = await live('fail')
    expect(await child.exited).toEqual(EXIT_1)
    expect(lines.join('')).toContain('a part has failed')
    expect(steps()).toEqual(['started', 'closed second', 'closed first'])
  })

  it('closes what was opened when the start fails', async () => {
    const { child, steps, lines } = await live('broken-start', /cannot start/)
    expect(await child.exited).toEqual(EXIT_1)
    expect(steps()).toEqual(['closed second', 'closed first'])
    expect(lines.join('')).toContain('cannot start')
  })

  it('interrupts a start that takes long and exits with 0', async () => {
    const { child, steps } = await live('long-start', /^starting$/)
    process.kill(child.pid, 'SIGTERM')
    expect(await child.exited).toEqual(EXIT_0)
    expect(steps()).toEqual(['starting', 'closed second', 'closed first'])
  })

  it('tells the parent when it is ready, and hands over what the start returned', async () => {
    const { child } = await live('idle', 'message')
    expect(child.readyValue).toEqual({ ready: { port: 80 } })
  })
})
