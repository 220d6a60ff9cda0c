/** Output that is still under way when its command has exited: all of it is waited for, and nothing else. */
import { setTimeout as delay } from 'node:timers/promises'
import type { ServerChannel } from 'ssh2'
import { describe, expect, test } from 'vitest'
import { reachOdd, startLauncher } from '../../../support/ssh/odd-server.ts'
import { run } from '../../../support/ssh/ssh.ts'

/** A connection to a host whose commands exit at once with 0, and whose output comes afterwards. */
function reachLate(write: (channel: ServerChannel) => Promise<void>) {
  return reachOdd({
    onSession: (session) =>
      void session.on('exec', (accept, _reject, { command }) => {
        const channel = accept()
        startLauncher(channel, command, async () => {
          channel.exit(0)
          await write(channel)
        })
      }),
  })
}

describe('what was under way on a slow line when the command exited is not lost, if it comes', () => {
  test.each([
    ['for 4 s', 20, () => 200, 16 * 1024],
    ['for 10 s', 50, () => 200, 16 * 1024],
    ['in gaps of a second', 8, () => 1_000, 64 * 1024],
    ['in small pieces', 250, () => 20, 1024],
    ['in gaps of any length', 30, (i: number) => (i * 97) % 400, 16 * 1024],
  ])('%s', async (_how, pieces, gapMs, bytes) => {
    const connection = await reachLate(async (channel) => {
      for (let i = 0; i < pieces; i++) {
        await delay(gapMs(i))
        channel.write(Buffer.alloc(bytes))
        channel.stderr.write('e')
      }
      channel.end()
    })
    const told = await run(connection, 'anything')
    expect(told).toMatchObject({ state: 'succeeded', outputComplete: true })
    expect([told.stdout.bytes, told.stderr.bytes]).toEqual([pieces * bytes, pieces])
  })
})
