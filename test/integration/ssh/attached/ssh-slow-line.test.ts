/** Output that is still under way when its command has exited: all of it is waited for, and nothing else. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Connection, ServerChannel } from 'ssh2'
import { describe, expect, onTestFinished, test } from 'vitest'
import { reachOdd, reachOddOverRelay, startLauncher } from '../../../support/ssh/odd-server.ts'
import { reach, run } from '../../../support/ssh/ssh.ts'

/** A host whose commands exit at once with 0, and whose output comes afterwards. */
function late(write: (channel: ServerChannel, host: Connection) => Promise<void>) {
  return {
    onSession: (session: Parameters<NonNullable<Parameters<typeof reachOdd>[0]['onSession']>>[0], host: Connection) =>
      void session.on('exec', (accept, _reject, { command }) => {
        const channel = accept()
        startLauncher(channel, command, async () => {
          channel.exit(0)
          await write(channel, host)
        })
      }),
  }
}

const KIB = 1024
const atOnce = (bytes: number) =>
  late(async (channel) => {
    channel.write(Buffer.alloc(bytes))
    channel.end()
  })

describe('what was under way when the command exited is not lost, if it comes', () => {
  test.each([
    ['for 4 s', 20, () => 200, 16 * KIB],
    ['for 12 s', 60, () => 200, 16 * KIB],
    ['in gaps of a second', 8, () => 1_000, 64 * KIB],
    ['in small pieces', 250, () => 20, KIB],
    ['in gaps of any length', 30, (i: number) => (i * 97) % 400, 16 * KIB],
  ])('%s', async (_how, pieces, gapMs, bytes) => {
    const server = late(async (channel) => {
      for (let i = 0; i < pieces; i++) {
        await delay(gapMs(i))
        channel.write(Buffer.alloc(bytes))
        channel.stderr.write('e')
      }
      channel.end()
    })
    const told = await run(await reachOdd(server), 'anything')
    expect(told).toMatchObject({ state: 'succeeded', outputComplete: true })
    expect([told.stdout.bytes, told.stderr.bytes]).toEqual([pieces * bytes, pieces])
  })

  test('output that comes while new keys are exchanged is all read', async () => {
    const server = late(async (channel, host) => {
      for (let i = 0; i < 25; i++) {
        await delay(200)
        channel.write(Buffer.alloc(16 * KIB))
        if (i % 10 === 5) host.rekey()
      }
      channel.end()
    })
    const told = await run(await reachOdd(server), 'anything')
    expect(told).toMatchObject({ state: 'succeeded', stdout: { bytes: 25 * 16 * KIB }, outputComplete: true })
  })

  test('output that comes over a line of 6 KiB a second is all read', async () => {
    const { relay, connection } = await reachOddOverRelay(atOnce(64 * KIB))
    relay.slowDown(6 * KIB)
    const told = await run(connection, 'anything')
    expect(told).toMatchObject({ state: 'succeeded', stdout: { bytes: 64 * KIB }, outputComplete: true })
  })

  test('over a line that brings nothing for 5 s in between', async () => {
    const { relay, connection } = await reachOddOverRelay(
      late(async (channel) => {
        channel.write(Buffer.alloc(16 * KIB))
        await delay(200)
        relay.freeze()
        channel.write(Buffer.alloc(16 * KIB))
        channel.end()
        await delay(5_000)
        relay.thaw()
      }),
    )
    const told = await run(connection, 'anything')
    expect(told).toMatchObject({ state: 'succeeded', stdout: { bytes: 32 * KIB }, outputComplete: true })
  })

  test('to a receiver that is busy for longer than the line may be silent', async () => {
    const pieces: number[] = []
    const told = await run(await reachOdd(atOnce(3 * KIB * KIB)), 'anything', {
      outputLimitBytes: 8 * KIB * KIB,
      onOutput: async (_stream, bytes) => {
        pieces.push(bytes.length)
        if (pieces.length === 1) await delay(11_000)
      },
    })
    expect(told).toMatchObject({ state: 'succeeded', stdout: { bytes: 3 * KIB * KIB }, outputComplete: true })
  })
})

describe('what will not come is not waited for', () => {
  test('when a process that is left behind holds the streams and is silent', async () => {
    const told = await run(await reach(), 'sleep 1000 & echo $!')
    onTestFinished(() => void process.kill(Number(told.out), 'SIGKILL'))
    expect(told).toMatchObject({ state: 'succeeded', outputComplete: false })
  })

  test('when the line is dead: the command has succeeded, and its output is not whole', async () => {
    const { relay, connection } = await reachOddOverRelay(
      late(async (channel) => {
        channel.write('first\n')
        await delay(200)
        relay.freeze()
        channel.end('last\n')
      }),
    )
    const told = await run(connection, 'anything')
    expect(told).toMatchObject({ state: 'succeeded', exitCode: 0, out: 'first\n', outputComplete: false })
  })

  test('when the line breaks: the command has succeeded, and its output is not whole', async () => {
    const { relay, connection } = await reachOddOverRelay(
      late(async (channel) => {
        channel.write('first\n')
        await delay(200)
        relay.cut()
      }),
    )
    const told = await run(connection, 'anything')
    expect(told).toMatchObject({ state: 'succeeded', exitCode: 0, out: 'first\n', outputComplete: false })
  })

  test('by someone who cancels: the command has succeeded, and its output is not whole', async () => {
    const cancel = new AbortController()
    const server = late(async (channel) => {
      for (let i = 0; i < 200; i++) {
        await delay(100)
        if (i === 30) cancel.abort()
        channel.write(Buffer.alloc(16 * KIB))
      }
      channel.end()
    })
    const told = await run(await reachOdd(server), 'anything', { signal: cancel.signal })
    expect(told).toMatchObject({ state: 'succeeded', exitCode: 0, outputComplete: false })
    expect(told.stdout.bytes).toBeLessThan(100 * 16 * KIB)
  })
})
