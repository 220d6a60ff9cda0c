/** Whose turn it is to connect: hosts that do not answer keep nobody waiting, and nobody is blamed for the wait. */
import { expect, test, vi } from 'vitest'
import { listen } from '../../../support/ssh/odd-server.ts'
import { checkoutOf, testPool, timing } from '../../../support/ssh/pool.ts'
import { sshdHost } from '../../../support/ssh/ssh.ts'

const BANNER = 'SSH-2.0-odd\r\n'

/** So many names for a server that says this much and nothing more, and how many have connected to it. */
async function silentHosts(count: number, greeting = '') {
  let connected = 0
  const { port } = await listen((socket) => {
    connected += 1
    socket.write(greeting)
  })
  const hosts = Array.from({ length: count }, (_, i) => sshdHost({ name: `dead${i}`, address: '127.0.0.1', port }))
  return { hosts, connected: () => connected }
}

test('fifty silent hosts of a large job keep no other host waiting, of another job or of their own', async () => {
  const { hosts, connected } = await silentHosts(50)
  // Were it asked for each of them, one turn at a time would not come round in time.
  const pool = testPool({ maxHandshakes: 1 })
  const dead = hosts.map((host) => pool.checkOut(host, timing({ fairKey: 'big', timeoutMs: 60_000 })))
  await vi.waitFor(() => expect(connected()).toBe(50), 10_000)
  await checkoutOf(pool, sshdHost(), { fairKey: 'small' })
  await checkoutOf(pool, sshdHost({ address: '127.0.1.2' }), { fairKey: 'big' })
  pool.close()
  await Promise.all(dead)
})

test('hosts that greet and say nothing more hold their turns for some seconds only', async () => {
  const { hosts, connected } = await silentHosts(2, BANNER)
  const pool = testPool({ maxHandshakes: 2 })
  const dead = hosts.map((host) => pool.checkOut(host, timing({ timeoutMs: 60_000 })))
  await vi.waitFor(() => expect(connected()).toBe(2), 5_000)
  await checkoutOf(pool, sshdHost(), { timeoutMs: 20_000 })
  pool.close()
  await Promise.all(dead)
})

test('the time that a host waits for its turn is not taken from its own', async () => {
  const { hosts, connected } = await silentHosts(1, BANNER)
  const pool = testPool({ maxHandshakes: 1 })
  const dead = hosts.map((host) => pool.checkOut(host, timing({ timeoutMs: 60_000 })))
  await vi.waitFor(() => expect(connected()).toBe(1), 5_000)
  // The turn is held for three seconds.
  await checkoutOf(pool, sshdHost(), { timeoutMs: 2_000 })
  pool.close()
  await Promise.all(dead)
})

test('a host whose turn did not come is not to blame, and may be tried again', async () => {
  const { hosts, connected } = await silentHosts(1, BANNER)
  const pool = testPool({ maxHandshakes: 1 })
  const dead = hosts.map((host) => pool.checkOut(host, timing({ timeoutMs: 60_000 })))
  await vi.waitFor(() => expect(connected()).toBe(1), 5_000)
  const from = performance.now()
  expect(await pool.checkOut(sshdHost(), timing({ timeoutMs: 700 }))).toMatchObject({
    ok: false,
    reason: 'conn_timeout',
    isRetryable: true,
    isHostsFault: false,
    detail: expect.stringContaining('this worker was busy with handshakes with other hosts'),
  })
  // It waited for as long again as the host may take, and no longer.
  expect(performance.now() - from).toBeGreaterThan(1_300)
  pool.close()
  await Promise.all(dead)
})

test.each([
  ['says nothing at all', '', 'conn_timeout'],
  ['greets and says nothing more', BANNER, 'conn_timeout'],
])('a host that %s is to blame itself', async (_what, greeting, reason) => {
  const { hosts } = await silentHosts(1, greeting)
  const results = await Promise.all(hosts.map((host) => testPool().checkOut(host, timing({ timeoutMs: 400 }))))
  expect(results).toMatchObject([{ ok: false, reason, isHostsFault: true }])
})

test.each(['255.255.255.255', 'fe80::1'])(
  'an address that this machine has no way to (%s) is nothing that a host did',
  async (address) => {
    expect(await testPool().checkOut(sshdHost({ address }), timing({ timeoutMs: 5_000 }))).toMatchObject({
      ok: false,
      isRetryable: true,
      isHostsFault: false,
      detail: expect.stringContaining('this worker could not get there: E'),
    })
  },
)

test('credentials that cannot be used here are no log-in that the host has refused', async () => {
  const pool = testPool()
  const noAgent = { kind: 'agent', socket: '' } as const
  const wrong = { kind: 'password', password: 'no such password' } as const
  for (const [credentials, isHostsFault] of [
    [[], false],
    [[noAgent], false],
    [[noAgent, wrong], true],
  ] as const) {
    expect(await pool.checkOut(sshdHost({ credentials }), timing())).toMatchObject({
      reason: 'auth_failed',
      isHostsFault,
    })
  }
})

test('behind a jump host only those that answer take a turn, and give it back with the end of the log-in', async () => {
  const jump = sshdHost({ name: 'jump' })
  const { hosts, connected } = await silentHosts(8)
  let [turns, ended] = [0, 0]
  const beforeDialThrough = async () => {
    turns += 1
    return () => {
      ended += 1
    }
  }
  const pool = testPool({ beforeDialThrough })
  const dead = hosts.map((host) => pool.checkOut({ ...host, jump }, timing({ timeoutMs: 60_000 })))
  await vi.waitFor(() => expect(connected()).toBe(8), 10_000)
  await checkoutOf(pool, sshdHost({ address: '127.0.1.2', jump }))
  // That of the jump host, and that of the host which answers.
  expect([turns, ended]).toEqual([2, 2])
  const wrong = { kind: 'password', password: 'no such password' } as const
  const refused = sshdHost({ address: '127.0.1.3', jump, credentials: [wrong] })
  expect(await pool.checkOut(refused, timing())).toMatchObject({ reason: 'auth_failed' })
  expect([turns, ended]).toEqual([3, 3])
  pool.close()
  await Promise.all(dead)
})
