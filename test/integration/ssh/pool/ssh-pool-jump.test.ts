/** Many hosts behind one jump host: one connection to it, few handshakes at once, and what becomes of it. */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseKnownHosts } from '@muster/contract'
import { openJumpTurns } from '@muster/ledger'
import { fixedKnownHosts, type SshHost } from '@muster/ssh'
import { expect, inject, onTestFinished, test, vi } from 'vitest'
import type { PoolOptions } from '../../../../libs/ssh/src/pool/pool.ts'
import { openTestLedger } from '../../../support/ledger/ledger.ts'
import { checkoutOf, runOnPool, testPool, timing } from '../../../support/ssh/pool.ts'
import { startRelay } from '../../../support/ssh/relay.ts'
import { run, sshdHost } from '../../../support/ssh/ssh.ts'
import { startSshd } from '../../../support/ssh/sshd.ts'

/** Drops log-ins once ten are under way, where OpenSSH by default drops some; ten channels on a connection. */
const STRICT = ['MaxStartups 10:100:100', 'MaxSessions 10']

/** A daemon that is the jump host, reached over a relay, and another that is all that is behind it. */
async function behindOneJump() {
  const { facts, close } = await startSshd(STRICT)
  onTestFinished(() => close())
  const relay = await startRelay(facts.port)
  const knownHosts = fixedKnownHosts(
    inject('sshd').knownHosts + facts.knownHosts.replaceAll(`:${facts.port} `, `:${relay.port} `),
  )
  const jump = sshdHost({ name: 'jump', port: relay.port }, facts)
  const hosts = Array.from({ length: 60 }, (_, i) => sshdHost({ name: `inner${i}`, address: `127.0.3.${i + 1}`, jump }))
  const [host = jump] = hosts
  const poolOf = (options: Partial<PoolOptions> = {}) => testPool({ knownHosts, ...options })
  return { relay, jump, host, hosts, knownHosts, poolOf }
}

test('two workers reach sixty hosts behind a jump host that drops log-ins, eight at a time', async () => {
  const { hosts, poolOf } = await behindOneJump()
  const ledger = await openTestLedger()
  let most = 0
  let underWay = 0
  const pools = ['one', 'other'].map((worker) => {
    const turns = openJumpTurns(ledger, worker)
    onTestFinished(() => turns.close())
    const beforeDialThrough: PoolOptions['beforeDialThrough'] = async (name, { signal }) => {
      const end = await turns.take(name, signal)
      underWay += 1
      most = Math.max(most, underWay)
      return () => {
        underWay -= 1
        end()
      }
    }
    return poolOf({ beforeDialThrough })
  })
  const runs = hosts.flatMap((host) => pools.map((pool) => runOnPool(pool, host, 'echo on', { timeoutMs: 60_000 })))
  expect((await Promise.all(runs)).filter(({ out }) => out !== 'on')).toEqual([])
  expect(most).toBe(8)
  // The jump host is one connection more.
  expect(pools.map((pool) => pool.counts().open)).toEqual([61, 61])
}, 90_000)

test('one worker alone keeps to eight handshakes at a time through a jump host too', async () => {
  const { hosts, poolOf } = await behindOneJump()
  let most = 0
  let underWay = 0
  const beforeDialThrough = async () => {
    underWay += 1
    most = Math.max(most, underWay)
    return () => {
      underWay -= 1
    }
  }
  const pool = poolOf({ beforeDialThrough })
  const runs = hosts.map((host, i) => runOnPool(pool, host, 'echo on', { timeoutMs: 60_000, fairKey: `job ${i % 7}` }))
  expect((await Promise.all(runs)).filter(({ out }) => out !== 'on')).toEqual([])
  expect(most).toBe(8)
}, 90_000)

test('the connection to the jump host stays while it is used, and not much longer', async () => {
  const { host, poolOf } = await behindOneJump()
  const pool = poolOf({ idleMs: 200 })
  const checkout = await checkoutOf(pool, host)
  await sleep(500)
  expect((await run(checkout.connection, 'echo on')).out).toBe('on\n')
  checkout.release()
  await vi.waitFor(() => expect(pool.counts()).toEqual({ open: 0, idle: 0 }), 5_000)
})

test('when the jump host is lost, what goes through it is lost too, and the next run dials both', async () => {
  const { relay, host, poolOf } = await behindOneJump()
  const pool = poolOf()
  const checkout = await checkoutOf(pool, host)
  const onOutput = vi.fn()
  const ended = run(checkout.connection, 'echo begun; sleep 60', { onOutput })
  await vi.waitUntil(() => onOutput.mock.calls.length > 0, 10_000)
  relay.cut()
  expect((await ended).state).toBe('lost')
  checkout.release()
  expect((await runOnPool(pool, host, 'echo on')).out).toBe('on')
  expect(pool.counts().open).toBe(2)
})

test('a warm jump host over a dead line is dialled again, also for a host not reached before', async () => {
  const { relay, host, hosts, poolOf } = await behindOneJump()
  const pool = poolOf()
  expect((await runOnPool(pool, host, 'echo on')).out).toBe('on')
  relay.freeze()
  const [again, other] = await Promise.all(
    [host, hosts[1] ?? host].map((one) => runOnPool(pool, one, 'echo on', { timeoutMs: 15_000 })),
  )
  expect([again?.out, other?.out]).toEqual(['on', 'on'])
})

test('a jump host that cannot be reached is named, and whoever waits for its turn leaves in time', async () => {
  const { host, poolOf } = await behindOneJump()
  const nowhere = sshdHost({ name: 'nowhere', address: '240.0.0.1' })
  const pool = poolOf()
  const through = { ...host, jump: nowhere }
  expect(await pool.checkOut(through, timing({ timeoutMs: 400 }))).toMatchObject({
    ok: false,
    reason: 'jump_failed',
    detail: expect.stringContaining('jump host nowhere'),
  })
  const stuck = poolOf({ beforeDialThrough: () => new Promise(() => {}) })
  expect(await stuck.checkOut(host, timing({ timeoutMs: 400 }))).toMatchObject({ ok: false, isRetryable: true })
})

test.each([
  ['with', 0],
  ['through', 1],
])('when no turn %s the jump host comes, that is nothing the host behind it did', async (_what, turns) => {
  const { host, poolOf } = await behindOneJump()
  let given = 0
  const beforeDialThrough: PoolOptions['beforeDialThrough'] = (_name, { signal }) => {
    given += 1
    if (given <= turns) return Promise.resolve(() => {})
    return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('no turn'))))
  }
  expect(await poolOf({ beforeDialThrough }).checkOut(host, timing({ timeoutMs: 1_000 }))).toMatchObject({
    ok: false,
    reason: 'jump_failed',
    isRetryable: true,
    isHostsFault: false,
    detail: expect.stringContaining('jump host jump'),
  })
})

test('what a jump host says of the host behind it is that host’s, and not what it refuses itself', async () => {
  const { host, poolOf } = await behindOneJump()
  const closed = { ...host, port: 1 }
  expect(await poolOf().checkOut(closed, timing())).toMatchObject({ reason: 'jump_failed', isHostsFault: true })
  const { facts, close } = await startSshd(['AllowTcpForwarding no'])
  onTestFinished(() => close())
  const strict = { ...host, jump: sshdHost({ name: 'strict' }, facts) }
  const pool = poolOf({ knownHosts: fixedKnownHosts(facts.knownHosts) })
  expect(await pool.checkOut(strict, timing())).toMatchObject({ reason: 'jump_failed', isHostsFault: false })
})

test('a jump host dialled again is not dialled once more by each that finds the old one dead later', async () => {
  const { relay, hosts, poolOf } = await behindOneJump()
  const pool = poolOf()
  const [first, ...others] = hosts
  if (first === undefined) throw new Error('there is no first host')
  const checkout = await checkoutOf(pool, first)
  checkout.release()
  relay.freeze()
  const all: Promise<unknown>[] = []
  for (const host of others.slice(0, 6)) {
    all.push(checkoutOf(pool, host))
    await sleep(300)
  }
  await Promise.all(all)
  expect(relay.count()).toBe(2)
})

test('a jump host that refuses us is asked once, and again with other credentials or other known_hosts', async () => {
  const { relay, host, hosts, jump, knownHosts, poolOf } = await behindOneJump()
  let known = parseKnownHosts('')
  const pool = poolOf({ knownHosts: { read: async () => known } })
  const tryAll = async (changes: Partial<SshHost> = {}) => {
    const reasons: string[] = []
    for (const one of hosts.slice(0, 3)) {
      const got = await pool.checkOut({ ...one, jump: { ...jump, ...changes } }, timing())
      reasons.push(got.ok ? 'reached' : `${got.reason} ${got.isRetryable} ${got.isHostsFault} ${got.detail}`)
    }
    return reasons
  }
  const refusedWith = (reason: string) => [
    expect.stringMatching(new RegExp(`jump_failed false false .*${reason}`)),
    expect.stringMatching(new RegExp(`jump_failed false false .*${reason}.*asked again in (299|300) s`)),
    expect.stringMatching(new RegExp(`jump_failed false false .*${reason}.*asked again in (299|300) s`)),
  ]
  expect(await tryAll()).toEqual(refusedWith('host_key_unknown'))
  expect(relay.count()).toBe(1)
  known = await knownHosts.read()
  const wrong = { kind: 'password', password: 'no such password' } as const
  expect(await tryAll({ credentials: [wrong] })).toEqual(refusedWith('auth_failed'))
  expect(relay.count()).toBe(2)
  expect(await tryAll()).toEqual(['reached', 'reached', 'reached'])
  expect(relay.count()).toBe(3)
  vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 300_001)
  onTestFinished(() => void vi.restoreAllMocks())
  await pool.checkOut({ ...host, jump: { ...jump, credentials: [wrong] } }, timing())
  expect(relay.count()).toBe(4)
})
