/** The process that looks names up, killed or stopped. Real getaddrinfo, of a name that every machine has. */
import { execFileSync } from 'node:child_process'
import { expect, onTestFinished, test, vi } from 'vitest'
import { LookUps } from '../../../../libs/ssh/src/connect/look-ups.ts'

const FOUND = { addresses: expect.arrayContaining([expect.objectContaining({ family: 4 })]) }

function start() {
  const lookUps = new LookUps()
  onTestFinished(() => lookUps.close())
  const find = (limitMs: number) => lookUps.find('localhost', AbortSignal.timeout(limitMs))
  const signal = (name: NodeJS.Signals) => {
    const pids = execFileSync('pgrep', ['-P', String(process.pid), '-f', 'look-up.cjs'])
      .toString()
      .trim()
      .split('\n')
    for (const pid of pids) process.kill(Number(pid), name)
  }
  return { find, signal }
}

test('one that was killed is replaced', async () => {
  const { find, signal } = start()
  expect(await find(5_000)).toMatchObject(FOUND)
  signal('SIGKILL')
  expect(await find(5_000)).toMatchObject(FOUND)
})

test('one that hangs is replaced after a minute, by the next who asks', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  onTestFinished(() => void vi.useRealTimers())
  const { find, signal } = start()
  expect(await find(5_000)).toMatchObject(FOUND)
  signal('SIGSTOP')
  const silent = { failure: { reason: 'dns_timeout', isHostsFault: false } }
  expect(await find(100)).toMatchObject(silent)
  vi.advanceTimersByTime(30_000)
  expect(await find(100)).toMatchObject(silent)
  vi.advanceTimersByTime(31_000)
  expect(await find(5_000)).toMatchObject(FOUND)
})
