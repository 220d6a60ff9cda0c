/** The clocks of this side for one connection to a durable run, whoever followed it before. */

import { expect, test } from 'vitest'
import { startClock } from '../../../libs/ssh/src/durable/clock.ts'

/** Resolves with what the clock asks for first. */
function asked(muteMs: number, act: (clock: ReturnType<typeof startClock>) => void): Promise<string> {
  return new Promise((resolve) => {
    const clock = startClock({
      execTimeoutMs: 3_600_000,
      lateMs: 10_000,
      muteMs,
      onTimeout: () => resolve('timeout'),
      onMute: () => resolve('mute'),
      raise: async (execTimeoutMs) => {
        resolve(`raised to ${execTimeoutMs}`)
        return true
      },
    })
    act(clock)
  })
}

test('a command that has had its time before this connection is over at once', async () => {
  expect(await asked(60_000, (clock) => clock.start(3_620_000))).toBe('timeout')
})

test('a host that says nothing is mute, and one that has started the command is not', async () => {
  expect(await asked(10, (clock) => clock.heard())).toBe('mute')
  const started = asked(10, (clock) => {
    clock.start(0)
    setTimeout(() => clock.raiseTo(7_200_000), 50)
  })
  expect(await started).toBe('raised to 7200000')
})

test('a limit that was raised before the start is raised on the host when there is one', async () => {
  const raised = asked(60_000, (clock) => {
    clock.raiseTo(7_200_000)
    clock.start(0)
  })
  expect(await raised).toBe('raised to 7200000')
})
