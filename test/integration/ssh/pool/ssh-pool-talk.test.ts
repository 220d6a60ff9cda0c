/** What a host says on a warm connection that nobody uses: what it may, and what ends the connection. */
import { setTimeout as sleep } from 'node:timers/promises'
import { fixedKnownHosts } from '@muster/ssh'
import type { Connection } from 'ssh2'
import { describe, expect, onTestFinished, test } from 'vitest'
import { HOST_KEY, serve } from '../../../support/ssh/odd-server.ts'
import { checkoutOf, runOnPool, testPool } from '../../../support/ssh/pool.ts'
import { sshdHost } from '../../../support/ssh/ssh.ts'
import { startSshd } from '../../../support/ssh/sshd.ts'

/** The protocol of ssh2, as the server side of a connection has it. */
type Protocol = {
  ping(): void
  channelData(channel: number, bytes: Buffer): void
  exitStatus(channel: number, status: number): void
  channelClose(channel: number): void
}

/** A warm connection that nobody uses, and its other side. */
async function idleConnection() {
  const connections: Connection[] = []
  const host = await serve({
    onAuth: (context, connection) => {
      connections.push(connection)
      context.accept()
    },
  })
  const pool = testPool({ knownHosts: fixedKnownHosts(`* ${HOST_KEY.public}\n`) })
  const checkout = await checkoutOf(pool, host)
  checkout.release()
  expect(pool.counts()).toEqual({ open: 1, idle: 1 })
  const [other] = connections
  if (other === undefined) throw new Error('the server saw no connection')
  const protocol: Protocol = Reflect.get(other, '_protocol')
  return { pool, host, other, protocol }
}

/** A global request of any name, which ssh2 has no call for. */
function ask(protocol: object, name: string): void {
  const bytes = Buffer.from(name)
  const writer = Reflect.get(Reflect.get(protocol, '_packetRW'), 'write')
  const packet: Buffer = writer.alloc(1 + 4 + bytes.length + 1)
  const at: number = writer.allocStart
  packet[at] = 80
  packet.writeUInt32BE(bytes.length, at + 1)
  bytes.copy(packet, at + 5)
  packet[at + 5 + bytes.length] = 1
  Reflect.get(protocol, '_cipher').encrypt(writer.finalize(packet))
}

describe('a connection that nobody uses is closed when the host', () => {
  test.each<[string, (side: { other: Connection; protocol: Protocol }) => void]>([
    ['opens a channel', ({ other }) => void other.forwardOut('a', 1, 'b', 2, () => {})],
    ['sends output of no command', ({ protocol }) => protocol.channelData(0, Buffer.from('rm -rf'))],
    ['sends an end of no command', ({ protocol }) => protocol.exitStatus(7, 0)],
    ['closes a channel that is not there', ({ protocol }) => protocol.channelClose(3)],
    ['asks for something', ({ protocol }) => ask(protocol, 'tcpip-backwards@example.com')],
    [
      'asks whether we live without an end',
      ({ protocol }) => {
        for (let i = 0; i < 10_000; i++) protocol.ping()
      },
    ],
  ])('%s', async (_title, talk) => {
    const { pool, ...side } = await idleConnection()
    const closed = new Promise((resolve) => side.other.on('end', () => resolve(undefined)))
    talk(side)
    await closed
    expect(pool.counts()).toEqual({ open: 0, idle: 0 })
  })
})

test('what a host may say leaves a connection open: its keys, and whether we live', async () => {
  const { pool, protocol } = await idleConnection()
  let answers = 0
  const answered = new Promise<void>((resolve) => {
    Reflect.set(Reflect.get(protocol, '_handlers'), 'REQUEST_FAILURE', () => {
      answers += 1
      if (answers === 3) resolve()
    })
  })
  protocol.ping()
  ask(protocol, 'keepalive@proftpd.org')
  protocol.ping()
  await answered
  expect(pool.counts()).toEqual({ open: 1, idle: 1 })
})

test('OpenSSH, which names its keys and asks each second whether we live, is left open, and used again', async () => {
  const own = await startSshd(['ClientAliveInterval 1', 'ClientAliveCountMax 2', 'RekeyLimit default 1s'])
  onTestFinished(() => own.close())
  const pool = testPool({ knownHosts: fixedKnownHosts(own.facts.knownHosts) })
  const host = sshdHost({}, own.facts)
  expect(await runOnPool(pool, host, 'echo $SSH_CONNECTION')).toMatchObject({ state: 'succeeded' })
  // It ends a connection of its own accord where nobody has answered for two seconds.
  await sleep(4_000)
  expect(pool.counts()).toEqual({ open: 1, idle: 1 })
  const checkout = await checkoutOf(pool, host)
  expect(checkout.isWarm).toBe(true)
  checkout.release()
})

test('a jump host whose last forward has just been closed stays open', async () => {
  const own = await startSshd()
  onTestFinished(() => own.close())
  const pool = testPool({ knownHosts: fixedKnownHosts(own.facts.knownHosts) })
  const jump = sshdHost({ name: 'bastion' }, own.facts)
  const behind = await checkoutOf(pool, sshdHost({ name: 'behind', jump }, own.facts))
  // A forward that ends while bytes are still on their way through it.
  behind.connection.client.exec('yes | head -c 4000000', (_error, channel) => channel?.resume())
  behind.connection.close()
  await expect.poll(() => pool.counts()).toEqual({ open: 1, idle: 1 })
  const again = await checkoutOf(pool, sshdHost({ name: 'again', jump }, own.facts))
  expect(pool.counts().open).toBe(2)
  again.release()
})
