/** Which connection a run gets from the pool, and when one is closed: against real daemons. */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseKnownHosts } from '@muster/contract'
import { fixedKnownHosts, readyCommand } from '@muster/ssh'
import { expect, inject, test, vi } from 'vitest'
import { checkoutOf, lineOf, runOnPool, testPool, timing } from '../../../support/ssh/pool.ts'
import { keyFile, run, sshdHost } from '../../../support/ssh/ssh.ts'

test('a connection is used again, by the next job too', async () => {
  const pool = testPool()
  const first = await checkoutOf(pool, sshdHost())
  const line = await lineOf(first)
  first.release()
  const second = await checkoutOf(pool, sshdHost(), { fairKey: 'another job' })
  expect(second.isWarm).toBe(true)
  expect(await lineOf(second)).toBe(line)
  expect(pool.counts()).toEqual({ open: 1, idle: 0 })
})

test('those who want the same host at the same time share its dials and connections, four on each', async () => {
  const pool = testPool()
  const checkouts = await Promise.all(Array.from({ length: 9 }, () => checkoutOf(pool, sshdHost())))
  const lines = await Promise.all(checkouts.map(lineOf))
  expect(new Set(lines).size).toBe(3)
  expect(pool.counts().open).toBe(3)
})

test.each([
  ['another address', { address: '127.0.1.2' }],
  ['another name', { name: 'web2' }],
  ['another key alias', { hostKeyAlias: `[127.0.1.9]:${inject('sshd').port}` }],
  ['other credentials', { credentials: [keyFile(inject('sshd').keys.rsaPkcs8)] }],
])('%s is another log-in, and gets a connection of its own', async (_what, changes) => {
  const pool = testPool()
  const first = await checkoutOf(pool, sshdHost())
  first.release()
  const second = await checkoutOf(pool, sshdHost(changes))
  expect(second.isWarm).toBe(false)
  expect(pool.counts().open).toBe(2)
})

test('credentials that the host would refuse get no warm connection of others', async () => {
  const pool = testPool()
  const first = await checkoutOf(pool, sshdHost())
  first.release()
  const wrong = { kind: 'password', password: 'no such password' } as const
  expect(await pool.checkOut(sshdHost({ credentials: [wrong] }), timing())).toMatchObject({ reason: 'auth_failed' })
})

test('a key that is revoked, removed or replaced ends the trust in a connection that is open', async () => {
  const { knownHosts, port, hostKeys } = inject('sshd')
  let text = knownHosts
  const pool = testPool({ knownHosts: { read: async () => parseKnownHosts(text) } })
  const used = Object.entries(hostKeys).map(([type, key]) => `[127.0.*]:${port} ${type} ${key}`)
  for (const [changed, reason] of [
    [`${knownHosts}${used.map((line) => `@revoked ${line}\n`).join('')}`, 'host_key_changed'],
    ['', 'host_key_unknown'],
  ] as const) {
    text = knownHosts
    const checkout = await checkoutOf(pool, sshdHost())
    checkout.release()
    text = changed
    expect(await pool.checkOut(sshdHost(), timing())).toMatchObject({ ok: false, reason })
    expect(pool.counts()).toEqual({ open: 0, idle: 0 })
  }
  text = knownHosts
  const checkout = await checkoutOf(pool, sshdHost())
  checkout.release()
  text = `${knownHosts}another.example ssh-ed25519 ${hostKeys['ssh-ed25519']}\n`
  expect((await checkoutOf(pool, sshdHost())).isWarm).toBe(true)
})

test('a connection that nobody uses is closed after a while, and one in use is not', async () => {
  const pool = testPool({ idleMs: 100 })
  const idle = await checkoutOf(pool, sshdHost())
  const used = await checkoutOf(pool, sshdHost({ address: '127.0.1.2' }))
  idle.release()
  await vi.waitFor(() => expect(pool.counts().open).toBe(1))
  await sleep(200)
  expect((await run(used.connection, 'echo here')).out).toBe('here\n')
})

test('a connection in steady use grows too old: nobody gets it any more, and it is closed when free', async () => {
  const pool = testPool({ maxAgeMs: 400 })
  const first = await checkoutOf(pool, sshdHost())
  const line = await lineOf(first)
  await sleep(500)
  const second = await checkoutOf(pool, sshdHost())
  expect(await lineOf(second)).not.toBe(line)
  expect(await lineOf(first)).toBe(line)
  first.release()
  await vi.waitFor(() => expect(first.connection.isOpen()).toBe(false), 5_000)
})

test('beyond the cap the longest unused is closed, and never one in use', async () => {
  const pool = testPool({ maxOpen: 2 })
  const hosts = [1, 2, 3].map((i) => sshdHost({ address: `127.0.1.${i}` }))
  const [first, second, third] = await Promise.all(hosts.map((host) => checkoutOf(pool, host)))
  expect(pool.counts()).toEqual({ open: 3, idle: 0 })
  second?.release()
  expect(pool.counts()).toEqual({ open: 2, idle: 0 })
  third?.release()
  first?.release()
  const fourth = await checkoutOf(pool, sshdHost({ address: '127.0.1.4' }))
  fourth.release()
  expect(await Promise.all(hosts.map(async (host) => (await checkoutOf(pool, host)).isWarm))).toEqual([
    true,
    false,
    false,
  ])
})

test('a channel that the host still holds keeps others away from the connection', async () => {
  const pool = testPool()
  const checkout = await checkoutOf(pool, sshdHost())
  const limits = { execTimeoutMs: 20_000, killGraceMs: 200, signal: new AbortController().signal }
  const ready = await readyCommand(checkout.connection, { form: { command: 'true' } }, limits)
  expect(ready).not.toHaveProperty('failure')
  checkout.release()
  await vi.waitFor(() => expect(pool.counts().open).toBe(0), 5_000)
  expect((await checkoutOf(pool, sshdHost())).isWarm).toBe(false)
})

test('a connection that is given up is not used again, and is closed when the last has left it', async () => {
  const pool = testPool()
  const [one, other] = await Promise.all([checkoutOf(pool, sshdHost()), checkoutOf(pool, sshdHost())])
  one.connection.close()
  expect((await run(other.connection, 'echo still here')).out).toBe('still here\n')
  const next = await checkoutOf(pool, sshdHost())
  expect(next.isWarm).toBe(false)
  other.release()
  expect(pool.counts()).toEqual({ open: 1, idle: 0 })
})

test('who leaves the queue takes no turn with it', async () => {
  const pool = testPool({ maxHandshakes: 1 })
  const hosts = Array.from({ length: 6 }, (_, i) => sshdHost({ address: `127.0.2.${i + 1}` }))
  const leave = new AbortController()
  const all = hosts.map((host, i) => pool.checkOut(host, timing(i % 2 === 0 ? {} : { signal: leave.signal })))
  leave.abort()
  const reasons = (await Promise.all(all)).map((one) => (one.ok ? 'reached' : one.reason))
  expect(reasons).toEqual(Array.from({ length: 3 }, () => ['reached', 'cancelled_by_user']).flat())
  expect((await runOnPool(pool, sshdHost({ address: '127.0.2.9' }), 'echo on')).out).toBe('on')
})

test('a pool that is closed has no connections, and gives none', async () => {
  const pool = testPool()
  const checkout = await checkoutOf(pool, sshdHost())
  const waiting = pool.checkOut(sshdHost({ address: '127.0.1.2' }), timing())
  pool.close()
  expect(await waiting).toMatchObject({ ok: false })
  expect(await pool.checkOut(sshdHost(), timing())).toMatchObject({ ok: false })
  await vi.waitFor(() => expect(checkout.connection.isOpen()).toBe(false))
})

test('a thousand commands on one connection leave no channel, no listener and no connection behind', async () => {
  const warnings: Error[] = []
  const onWarning = (warning: Error) => warnings.push(warning)
  process.on('warning', onWarning)
  const pool = testPool({ knownHosts: fixedKnownHosts(inject('sshd').knownHosts) })
  const checkout = await checkoutOf(pool, sshdHost())
  const { client } = checkout.connection
  const listeners = () => client.eventNames().map((name) => client.listenerCount(name))
  checkout.release()
  await runOnPool(pool, sshdHost(), 'true')
  const before = listeners()
  for (let i = 0; i < 250; i += 1) {
    const four = await Promise.all([1, 2, 3, 4].map(() => runOnPool(pool, sshdHost(), 'true')))
    expect(four.map(({ state }) => state)).toEqual(Array(4).fill('succeeded'))
  }
  process.off('warning', onWarning)
  expect(listeners()).toEqual(before)
  expect(warnings).toEqual([])
  expect(pool.counts()).toEqual({ open: 1, idle: 1 })
}, 120_000)
