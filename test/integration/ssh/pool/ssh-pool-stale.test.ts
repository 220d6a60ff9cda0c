/** Warm connections that are not what they were: a host that was restarted, a line that is dead, channels refused. */
import { setTimeout as sleep } from 'node:timers/promises'
import { fixedKnownHosts } from '@muster/ssh'
import { expect, inject, onTestFinished, test, vi } from 'vitest'
import { checkoutOf, runOnPool, testPool, timing } from '../../../support/ssh/pool.ts'
import { startRelay } from '../../../support/ssh/relay.ts'
import { run, sshdHost } from '../../../support/ssh/ssh.ts'
import { startSshd } from '../../../support/ssh/sshd.ts'

async function ownSshd(settings: readonly string[] = []) {
  const sshd = await startSshd(settings)
  onTestFinished(() => sshd.close())
  return {
    sshd,
    host: sshdHost({}, sshd.facts),
    pool: testPool({ knownHosts: fixedKnownHosts(sshd.facts.knownHosts) }),
  }
}

async function overRelay() {
  const facts = inject('sshd')
  const relay = await startRelay(facts.port)
  const knownHosts = fixedKnownHosts(facts.knownHosts.replaceAll(`:${facts.port} `, `:${relay.port} `))
  return { relay, pool: testPool({ knownHosts }), host: sshdHost({ port: relay.port }) }
}

test('a host that was restarted meanwhile is dialled again', async () => {
  const { sshd, host, pool } = await ownSshd()
  expect((await runOnPool(pool, host, 'echo before')).out).toBe('before')
  await sshd.restart(0)
  expect((await runOnPool(pool, host, 'echo after')).out).toBe('after')
  expect(pool.counts()).toEqual({ open: 1, idle: 1 })
})

test('a warm connection over a dead line costs some seconds of the time to connect, and not the run', async () => {
  const { relay, pool, host } = await overRelay()
  const checkouts = await Promise.all(Array.from({ length: 5 }, () => checkoutOf(pool, host)))
  for (const checkout of checkouts) checkout.release()
  expect(pool.counts()).toEqual({ open: 2, idle: 2 })
  relay.freeze()
  expect(await runOnPool(pool, host, 'echo on', { timeoutMs: 6_000 })).toEqual({ out: 'on', state: 'succeeded' })
  expect(pool.counts()).toEqual({ open: 1, idle: 1 })
})

test('a new connection is kept by those who find the old one dead later', async () => {
  const { relay, pool, host } = await overRelay()
  const first = await checkoutOf(pool, host)
  first.release()
  relay.freeze()
  const all: Promise<unknown>[] = []
  for (let i = 0; i < 4; i += 1) {
    all.push(runOnPool(pool, host, 'sleep 2; echo on'))
    await sleep(300)
  }
  const done = { out: 'on', state: 'succeeded' }
  expect(await Promise.all(all)).toEqual([done, done, done, done])
  expect(relay.count()).toBe(2)
})

test('a command that another run has under way on a dead line is not touched by it', async () => {
  const { relay, pool, host } = await overRelay()
  const busy = await checkoutOf(pool, host)
  const ended = run(busy.connection, 'sleep 60')
  await runOnPool(pool, host, 'true')
  relay.freeze()
  expect((await runOnPool(pool, host, 'echo on', { timeoutMs: 6_000 })).out).toBe('on')
  expect(busy.connection.isOpen()).toBe(true)
  relay.cut()
  expect((await ended).state).toBe('lost')
})

test('a slow answer of a host that is alive is waited for', async () => {
  const { host, pool } = await ownSshd(['ForceCommand sleep 3; eval "$SSH_ORIGINAL_COMMAND"'])
  const line = await runOnPool(pool, host, 'echo "$SSH_CONNECTION"', { timeoutMs: 3_000 })
  expect(line.state).toBe('succeeded')
  expect(await runOnPool(pool, host, 'echo "$SSH_CONNECTION"', { timeoutMs: 3_000 })).toEqual(line)
})

test('a refused channel is asked for on another connection, and the host not for so many again', async () => {
  const { host, pool } = await ownSshd(['MaxSessions 2'])
  const commands = Array.from({ length: 6 }, (_, i) => runOnPool(pool, host, `sleep 1; echo ${i}`))
  expect((await Promise.all(commands)).map(({ out }) => out)).toEqual(['0', '1', '2', '3', '4', '5'])
  expect(pool.counts().open).toBeGreaterThanOrEqual(3)
  const checkouts = await Promise.all(Array.from({ length: 4 }, () => checkoutOf(pool, host)))
  const states = await Promise.all(checkouts.map(async ({ connection }) => (await run(connection, 'sleep 1')).state))
  expect(states).toEqual(['succeeded', 'succeeded', 'succeeded', 'succeeded'])
})

test('a host that gives no channel at all says so once it was asked', async () => {
  const { host, pool } = await ownSshd(['MaxSessions 0'])
  expect(await runOnPool(pool, host, 'true')).toMatchObject({ state: 'channel_refused' })
  await vi.waitFor(() => expect(pool.counts()).toEqual({ open: 0, idle: 0 }))
})

test('a host that does not answer is shown with where the dial got; others who wait keep their own time', async () => {
  const { relay, pool, host } = await overRelay()
  relay.freeze()
  const silent = sshdHost({ address: '240.0.0.1', name: 'nowhere' })
  const [short, long] = await Promise.all([
    pool.checkOut(silent, timing({ timeoutMs: 300 })),
    pool.checkOut(silent, timing({ timeoutMs: 900 })),
  ])
  expect(short).toMatchObject({ ok: false, isRetryable: true })
  expect(long).toMatchObject({ ok: false, isRetryable: true })
  expect((await runOnPool(pool, host, 'echo on')).out).toBe('on')
})
