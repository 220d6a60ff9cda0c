/** What jobs share at a host: places for runs, and circuit breakers; and running a job again on some of its hosts. */
import { Submit } from '@muster/contract'
import {
  cancelJob,
  dispatchRun,
  extendJob,
  findRun,
  finishRun,
  gatherOutput,
  hostsOfJob,
  type Ledger,
  listRuns,
  openBreakers,
  readRerun,
  reportJob,
  submitJob,
} from '@muster/ledger'
import { describe, expect, test } from 'vitest'
import { sweep } from '../../../libs/ledger/src/clockwork/sweep.ts'
import { openTestLedger, submitTo } from '../../support/ledger/ledger.ts'
import { claimIndex, ENDS, endAs, queuedRuns } from '../../support/ledger/ledger-worker.ts'

const NOW = { ticketGraceMs: 3_600_000, suspectMs: 0, claimNamedMs: 3_600_000 }

/** Claims the run of a job on its only host, which must be there to be had. */
async function claimOnly(ledger: Ledger, jobId: string) {
  const claim = await claimIndex(ledger, jobId, 0)
  if (claim === undefined) throw new Error('the run could not be claimed')
  return claim
}

/** The last ticket that was issued for the job, as attempt and reissue. */
async function lastTicket(ledger: Ledger, jobId: string): Promise<unknown> {
  const waiting = await ledger.tickets.getWaiting()
  return waiting.filter(({ data }) => data.job_id === jobId).map(({ data }) => [data.attempt, data.reissue])
}

describe('places at a host', () => {
  test('runs that change things come one by one, and the next gets a ticket of its own when it is free', async () => {
    const ledger = await openTestLedger()
    const [first, second, third] = [await submitTo(ledger, 1), await submitTo(ledger, 1), await submitTo(ledger, 1)]
    const claim = await claimOnly(ledger, first)
    expect(await claimIndex(ledger, second, 0)).toBeUndefined()
    expect(await claimIndex(ledger, third, 0)).toBeUndefined()
    const detail = `waits until other runs on this machine have ended: ${first} holds the machine, and has not sent its`
    expect(await findRun(ledger, second, 'h0')).toMatchObject({
      state: 'queued',
      worker: null,
      detail: `${detail} command yet`,
    })
    await endAs(ledger, claim, 'ok')
    expect(await lastTicket(ledger, second), 'who waited longest is next').toEqual([
      [1, 0],
      [1, 1],
    ])
    expect(await lastTicket(ledger, third)).toEqual([[1, 0]])
    await endAs(ledger, await claimOnly(ledger, second), 'failed')
    await endAs(ledger, await claimOnly(ledger, third), 'ok')
  })

  test('a run that waits is told which job holds the machine, and when its time and kill grace are over', async () => {
    const ledger = await openTestLedger()
    const holder = await submitTo(ledger, 1, { exec_timeout_s: 60, kill_grace_s: 7, title: 'secret plan' })
    const waiting = await submitTo(ledger, 2)
    const claim = await claimOnly(ledger, holder)
    expect((await dispatchRun(ledger, claim, { connectMs: 1, mode: 'attached' })).word).toBe('go')
    expect(await claimIndex(ledger, waiting, 0)).toBeUndefined()
    const started = (await findRun(ledger, holder, 'h0'))?.started_at ?? ''
    const until = (seconds: number) => new Date(Date.parse(started) + seconds * 1_000).toISOString()
    const told = (seconds: number) => `${holder} holds the machine, and its time is over at ${until(seconds + 7)}`

    const detail = `waits until other runs on this machine have ended: ${told(60)}`
    expect(await findRun(ledger, waiting, 'h0')).toMatchObject({ state: 'queued', detail })
    const page = await listRuns(ledger, waiting, { limit: 10 })
    expect(page?.runs.map((run) => run.detail)).toEqual([detail, null])
    const report = await reportJob(ledger, waiting)
    expect(report?.notices).toEqual([{ notice: `waits for other runs: ${told(60)}`, hosts: 'h0', count: 1 }])
    expect(JSON.stringify([page, report])).not.toContain('secret plan')

    await extendJob(ledger, holder, 120_000)
    expect((await findRun(ledger, waiting, 'h0'))?.detail).toContain(told(120))
    await endAs(ledger, claim, 'ok')
    expect((await reportJob(ledger, waiting))?.notices).toEqual([])
  })

  test('of several runs at a machine, that whose time is over first is named, and the rest are counted', async () => {
    const ledger = await openTestLedger()
    const reading = { read_only: true, host_limit: 2 }
    const [long, short] = [
      await submitTo(ledger, 1, { ...reading, exec_timeout_s: 600 }),
      await submitTo(ledger, 1, { ...reading, exec_timeout_s: 60, job_timeout_s: 30, kill_grace_s: 3 }),
    ]
    for (const jobId of [long, short]) {
      await dispatchRun(ledger, await claimOnly(ledger, jobId), { connectMs: 1, mode: 'attached' })
    }
    const waiting = await submitTo(ledger, 1, reading)
    expect(await claimIndex(ledger, waiting, 0)).toBeUndefined()
    const detail = (await findRun(ledger, waiting, 'h0'))?.detail
    expect(detail).toMatch(new RegExp(`: ${short} holds the machine with 1 more, and its time is over at .*Z$`))
    const [, until = ''] = /over at (\S+Z)$/.exec(detail ?? '') ?? []
    const submitted = Date.parse((await reportJob(ledger, short))?.created_at ?? '')
    expect(Date.parse(until) - submitted).toBe(33_000)
  })

  test('the time of a run is that of its health check, too', async () => {
    const ledger = await openTestLedger()
    const health_check = { command: 'true', timeout_s: 20 }
    const holder = await submitTo(ledger, 1, { exec_timeout_s: 60, kill_grace_s: 2, health_check })
    const waiting = await submitTo(ledger, 1)
    await dispatchRun(ledger, await claimOnly(ledger, holder), { connectMs: 1, mode: 'attached' })
    expect(await claimIndex(ledger, waiting, 0)).toBeUndefined()
    const started = Date.parse((await findRun(ledger, holder, 'h0'))?.started_at ?? '')
    const over = new Date(started + (60 + 2 + 20 + 2) * 1_000).toISOString()
    expect((await findRun(ledger, waiting, 'h0'))?.detail).toContain(`its time is over at ${over}`)
  })

  test('four that only read may be there at once, beside one that changes things', async () => {
    const ledger = await openTestLedger()
    await claimOnly(ledger, await submitTo(ledger, 1))
    for (let i = 0; i < 4; i += 1) await claimOnly(ledger, await submitTo(ledger, 1, { read_only: true }))
    await claimOnly(ledger, await submitTo(ledger, 1, { read_only: true, host_limit: 5 }))
    expect(await claimIndex(ledger, await submitTo(ledger, 1, { read_only: true }), 0)).toBeUndefined()
  })

  test('a run that waits can be cancelled, and the place goes to the next', async () => {
    const ledger = await openTestLedger()
    const [first, second, third] = [await submitTo(ledger, 1), await submitTo(ledger, 1), await submitTo(ledger, 1)]
    const claim = await claimOnly(ledger, first)
    await claimIndex(ledger, second, 0)
    await claimIndex(ledger, third, 0)
    await cancelJob(ledger, second)
    expect((await findRun(ledger, second, 'h0'))?.state).toBe('cancelled')
    await endAs(ledger, claim, 'ok')
    expect(await lastTicket(ledger, third)).toContainEqual([1, 1])
  })

  test('nobody overtakes those who came before, also not in the moment in which one of them was called', async () => {
    const ledger = await openTestLedger()
    const [first, second, third] = [await submitTo(ledger, 1), await submitTo(ledger, 1), await submitTo(ledger, 1)]
    const claim = await claimOnly(ledger, first)
    expect(await claimIndex(ledger, second, 0)).toBeUndefined()
    await endAs(ledger, claim, 'ok')
    expect(await claimIndex(ledger, third, 0), 'the place is kept for the one that was called').toBeUndefined()
    await claimOnly(ledger, second)
  })

  test('when the one that was called is cancelled, the next is called', async () => {
    const ledger = await openTestLedger()
    const [first, second, third] = [await submitTo(ledger, 1), await submitTo(ledger, 1), await submitTo(ledger, 1)]
    const claim = await claimOnly(ledger, first)
    for (const jobId of [second, third]) await claimIndex(ledger, jobId, 0)
    await endAs(ledger, claim, 'ok')
    await cancelJob(ledger, second)
    expect(await lastTicket(ledger, third)).toContainEqual([1, 1])
  })

  test('a run that takes its workers down with it is given up after three', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 1)
    for (let i = 0; i < 3; i += 1) {
      await claimOnly(ledger, jobId)
      await ledger.redis.del(ledger.keys.worker('w1'))
      await sweep(ledger, NOW)
    }
    expect(await findRun(ledger, jobId, 'h0')).toMatchObject({
      state: 'unreachable',
      reason: 'worker_lost',
      attempt: 3,
    })
  })

  test('a retry, a dead worker and a run that never started all give the place free', async () => {
    const ledger = await openTestLedger()
    const retried = await submitTo(ledger, 1, { retry_backoff_s: 60 })
    expect(await endAs(ledger, await claimOnly(ledger, retried), 'refused', true)).toBe('retrying')
    const dead = await submitTo(ledger, 1)
    await claimOnly(ledger, dead)
    await ledger.redis.del(ledger.keys.worker('w1'))
    await sweep(ledger, NOW)
    expect((await findRun(ledger, dead, 'h0'))?.state).toBe('queued')
    await claimOnly(ledger, await submitTo(ledger, 1))
  })

  test('whoever waits gets a ticket when the one before is to be retried, is given up, or is turned away', async () => {
    const ledger = await openTestLedger()
    const turnedAway = async (jobId: string) => {
      await ledger.redis.hset(`${ledger.keys.base}:breaker:h0`, 'kind', 'connect', 'until', Date.now() + 60_000)
      expect(await claimIndex(ledger, jobId, 0)).toBeUndefined()
      await ledger.redis.del(`${ledger.keys.base}:breaker:h0`)
    }
    const [first, second, third, fourth] = [
      await submitTo(ledger, 1, { retry_backoff_s: 60 }),
      await submitTo(ledger, 1),
      await submitTo(ledger, 1),
      await submitTo(ledger, 1),
    ]
    const claim = await claimOnly(ledger, first)
    for (const jobId of [second, third, fourth]) await claimIndex(ledger, jobId, 0)
    await endAs(ledger, claim, 'refused', true)
    expect(await lastTicket(ledger, second)).toContainEqual([1, 1])
    await claimOnly(ledger, second)
    await ledger.redis.del(ledger.keys.worker('w1'))
    await sweep(ledger, NOW)
    expect(await lastTicket(ledger, third)).toContainEqual([1, 1])
    await turnedAway(third)
    expect(await lastTicket(ledger, fourth)).toContainEqual([1, 1])
  })

  test('a place that was kept by mistake is found to be free', async () => {
    const ledger = await openTestLedger()
    await ledger.redis.sadd(`${ledger.keys.base}:host:h0:change`, `job_${'a'.repeat(26)}:0`)
    await claimOnly(ledger, await submitTo(ledger, 1))
  })
})

describe('circuit breakers', () => {
  const failOnce = async (ledger: Ledger, name: 'refused' | 'denied') => {
    const jobId = await submitTo(ledger, 1)
    await endAs(ledger, await claimOnly(ledger, jobId), name)
  }

  test('five failures to connect in a row open it, and the next run is skipped and says so', async () => {
    const ledger = await openTestLedger()
    for (let i = 0; i < 4; i += 1) await failOnce(ledger, 'refused')
    expect(await openBreakers(ledger)).toEqual(new Map())
    await failOnce(ledger, 'refused')
    expect([...(await openBreakers(ledger))]).toMatchObject([['h0', { kind: 'connect' }]])
    const jobId = await submitTo(ledger, 1)
    expect(await claimIndex(ledger, jobId, 0)).toBeUndefined()
    const detail = expect.stringMatching(
      /^it could not be reached .* not tried before 20\d\d-.* unless .* "force": true/,
    )
    expect(await findRun(ledger, jobId, 'h0')).toMatchObject({ state: 'skipped', reason: 'breaker_open', detail })
    expect((await reportJob(ledger, jobId))?.problems).toMatchObject([{ reason: 'breaker_open', detail }])
    const gathered = { limitBytes: 100, masks: [], withDiff: false, groupsLimit: 9 }
    expect((await gatherOutput(ledger, jobId, gathered))?.without_output).toMatchObject([{ detail }])
  })

  test('one probe is let through when its time is over: it closes the breaker, or opens it again', async () => {
    const ledger = await openTestLedger()
    const breaker = `${ledger.keys.base}:breaker:h0`
    for (let i = 0; i < 5; i += 1) await failOnce(ledger, 'refused')
    await ledger.redis.hset(breaker, 'until', 1)
    const probe = await claimOnly(ledger, await submitTo(ledger, 1))
    const beside = await submitTo(ledger, 1, { read_only: true })
    await claimIndex(ledger, beside, 0)
    expect((await findRun(ledger, beside, 'h0'))?.reason, 'one at a time').toBe('breaker_open')
    await endAs(ledger, probe, 'refused')
    expect((await openBreakers(ledger)).has('h0')).toBe(true)

    await ledger.redis.hset(breaker, 'until', 1)
    await endAs(ledger, await claimOnly(ledger, await submitTo(ledger, 1)), 'failed')
    expect(await openBreakers(ledger), 'a command that fails was let in').toEqual(new Map())
    await failOnce(ledger, 'refused')
    await claimOnly(ledger, await submitTo(ledger, 1))
  })

  test('a probe that is cancelled lets the next one probe', async () => {
    const ledger = await openTestLedger()
    for (let i = 0; i < 5; i += 1) await failOnce(ledger, 'refused')
    await ledger.redis.hset(`${ledger.keys.base}:breaker:h0`, 'until', 1)
    const jobId = await submitTo(ledger, 1)
    const probe = await claimOnly(ledger, jobId)
    await cancelJob(ledger, jobId)
    const end = { ...ENDS.refused, state: 'cancelled', reason: 'cancelled_by_user' } as const
    await finishRun(ledger, probe, { ...end, detail: null, signal: null, isRetryable: false })
    await claimOnly(ledger, await submitTo(ledger, 1))
  })

  test('two refusals at the log-in open it for longer, so that nobody is locked out', async () => {
    const ledger = await openTestLedger()
    await failOnce(ledger, 'denied')
    await failOnce(ledger, 'denied')
    const open = (await openBreakers(ledger)).get('h0')
    expect(open?.kind).toBe('auth')
    expect((open?.untilMs ?? 0) - Date.now()).toBeGreaterThan(890_000)
  })

  test('reaching the host in between resets the count, and failing commands never count', async () => {
    const ledger = await openTestLedger()
    for (let i = 0; i < 4; i += 1) await failOnce(ledger, 'refused')
    await failOnce(ledger, 'denied')
    await failOnce(ledger, 'refused')
    expect(await openBreakers(ledger), 'who is refused at the log-in has reached the host').toEqual(new Map())
    await endAs(ledger, await claimOnly(ledger, await submitTo(ledger, 1)), 'failed')
    for (let i = 0; i < 4; i += 1) await failOnce(ledger, 'refused')
    for (let i = 0; i < 8; i += 1) await endAs(ledger, await claimOnly(ledger, await submitTo(ledger, 1)), 'failed')
    expect(await openBreakers(ledger)).toEqual(new Map())
  })

  test('an attempt that opens it is not followed by another, and the run ends for its real reason', async () => {
    const ledger = await openTestLedger()
    for (let i = 0; i < 4; i += 1) await failOnce(ledger, 'refused')
    const jobId = await submitTo(ledger, 1)
    expect(await endAs(ledger, await claimOnly(ledger, jobId), 'refused', true)).toBe('finished')
    expect(await findRun(ledger, jobId, 'h0')).toMatchObject({ state: 'unreachable', reason: 'conn_refused' })
  })

  test('a run that waits for its retry when it opens ends for the reason it had', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 1)
    await endAs(ledger, await claimOnly(ledger, jobId), 'refused', true)
    for (let i = 0; i < 4; i += 1) await failOnce(ledger, 'refused')
    expect(await claimIndex(ledger, jobId, 0)).toBeUndefined()
    expect(await findRun(ledger, jobId, 'h0')).toMatchObject({ state: 'unreachable', reason: 'conn_refused' })
  })

  test('a probe whose worker dies does not bar the host: its run probes again', async () => {
    const ledger = await openTestLedger()
    for (let i = 0; i < 5; i += 1) await failOnce(ledger, 'refused')
    await ledger.redis.hset(`${ledger.keys.base}:breaker:h0`, 'until', 1)
    const jobId = await submitTo(ledger, 1)
    await claimOnly(ledger, jobId)
    await ledger.redis.del(ledger.keys.worker('w1'))
    await sweep(ledger, NOW)
    await claimOnly(ledger, jobId)
  })

  test('what is not the fault of the host never counts, and a host that lets us in resets the count', async () => {
    const ledger = await openTestLedger()
    const endOnce = async (end: { reason: 'conn_timeout' | 'sudo_denied'; isHostsFault: boolean }) => {
      const claim = await claimOnly(ledger, await submitTo(ledger, 1))
      await finishRun(ledger, claim, { ...ENDS.refused, ...end, detail: null, signal: null, isRetryable: false })
    }
    for (let i = 0; i < 6; i += 1) await endOnce({ reason: 'conn_timeout', isHostsFault: false })
    for (let i = 0; i < 4; i += 1) await failOnce(ledger, 'refused')
    await endOnce({ reason: 'sudo_denied', isHostsFault: false })
    for (let i = 0; i < 4; i += 1) await failOnce(ledger, 'refused')
    expect(await openBreakers(ledger)).toEqual(new Map())
  })

  test('a test of the connection goes past one for connecting, and not past one for log-ins', async () => {
    const ledger = await openTestLedger()
    const breaker = `${ledger.keys.base}:breaker:h0`
    const job = { request: Submit.parse({ command: 'true', targets: 'h0' }), hosts: ['h0'], owner: 'me', isTest: true }
    await ledger.redis.hset(breaker, 'kind', 'auth', 'until', Date.now() + 60_000)
    expect(await claimIndex(ledger, (await submitJob(ledger, job)).jobId, 0)).toBeUndefined()
    await ledger.redis.hset(breaker, 'kind', 'connect')
    await endAs(ledger, await claimOnly(ledger, (await submitJob(ledger, job)).jobId), 'ok')
    expect(await ledger.redis.exists(breaker), 'a test that got through closes it').toBe(0)
  })

  test('force goes past it', async () => {
    const ledger = await openTestLedger()
    for (let i = 0; i < 5; i += 1) await failOnce(ledger, 'refused')
    await claimOnly(ledger, await submitTo(ledger, 1, { force: true }))
  })
})

describe('running a job again', () => {
  test('takes the hosts that ended in the given states, also those never released, in their order', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 6, { concurrency: 1, max_errors: 1, command: 'uptime', retries: 0 })
    const ends = ['failed', 'ok', 'lost'] as const
    for (const [index, name] of ends.entries()) {
      const claim = await claimIndex(ledger, jobId, index)
      if (claim !== undefined) await endAs(ledger, claim, name)
    }
    const again = await readRerun(ledger, jobId, ['failed', 'unreachable', 'skipped'])
    expect(again).toMatchObject({
      hosts: ['h0', 'h3', 'h4', 'h5'],
      request: { command: 'uptime', targets: 'h[0,3-5]' },
    })
    expect((await readRerun(ledger, jobId, ['lost']))?.hosts, 'only when it is named').toEqual(['h2'])
    expect(await readRerun(ledger, `job_${'b'.repeat(26)}`, ['lost'])).toBeUndefined()
    expect(await hostsOfJob(ledger, jobId)).toHaveLength(6)
    expect(await queuedRuns(ledger, jobId)).toEqual([])
  })
})
