/** One machine under several names: hosts that share its places, and hosts that showed one host key. */
import { randomBytes } from 'node:crypto'
import { type Input, Submit } from '@muster/contract'
import { type Claim, dispatchRun, findRun, finishRun, type Ledger, reportJob, submitJob } from '@muster/ledger'
import { describe, expect, test } from 'vitest'
import { openTestLedger, submitTo } from '../../support/ledger/ledger.ts'
import { claimIndex, ENDS, endAs } from '../../support/ledger/ledger-worker.ts'

/** Submits a job for hosts, each given with its machine. */
async function submitOn(ledger: Ledger, machineOf: Record<string, string>, options: Partial<Input<'submit_job'>> = {}) {
  const request = { ...Submit.parse({ command: 'true', targets: '@*' }), ...options }
  const [hosts, machines] = [Object.keys(machineOf), Object.values(machineOf)]
  return (await submitJob(ledger, { request, hosts, machines, owner: 'tester' })).jobId
}

async function claimed(ledger: Ledger, jobId: string, index = 0): Promise<Claim> {
  const claim = await claimIndex(ledger, jobId, index)
  if (claim === undefined) throw new Error(`run ${index} of ${jobId} could not be claimed`)
  return claim
}

const MACHINE = 'web'

describe('hosts of one machine, under different users', () => {
  test('share its places over all jobs: one changes it at a time', async () => {
    const ledger = await openTestLedger()
    const asDeploy = await submitOn(ledger, { web: MACHINE })
    const asRoot = await submitOn(ledger, { 'web-root': MACHINE })
    const claim = await claimed(ledger, asDeploy)
    expect(await claimIndex(ledger, asRoot, 0)).toBeUndefined()
    const detail = expect.stringMatching(/^waits until other runs on this machine have ended: job_/)
    expect(await findRun(ledger, asRoot, 'web-root')).toMatchObject({ state: 'queued', worker: null, detail })
    await endAs(ledger, claim, 'ok')
    await endAs(ledger, await claimed(ledger, asRoot), 'ok')
  })

  test('take turns within one job, and the one that waits gets its ticket when the other has ended', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitOn(ledger, { web: MACHINE, other: 'other', 'web-root': MACHINE })
    const [web, other] = [await claimed(ledger, jobId, 0), await claimed(ledger, jobId, 1)]
    expect(await claimIndex(ledger, jobId, 2)).toBeUndefined()
    await endAs(ledger, other, 'ok')
    expect(await claimIndex(ledger, jobId, 2), 'another machine has nothing to do with it').toBeUndefined()
    await endAs(ledger, web, 'ok')
    const tickets = (await ledger.tickets.getWaiting()).map(({ data }) => [data.host, data.reissue])
    expect(tickets).toContainEqual(['web-root', 1])
    await endAs(ledger, await claimed(ledger, jobId, 2), 'ok')
    expect((await reportJob(ledger, jobId))?.state).toBe('succeeded')
  })

  test('let four that only read in at once, together', async () => {
    const ledger = await openTestLedger()
    const read = { read_only: true }
    for (const name of ['a', 'b', 'a', 'b']) await claimed(ledger, await submitOn(ledger, { [name]: MACHINE }, read))
    expect(await claimIndex(ledger, await submitOn(ledger, { c: MACHINE }, read), 0)).toBeUndefined()
    await claimed(ledger, await submitOn(ledger, { c: 'c' }, read))
  })

  test('a job that has them says so, with how many machines there are', async () => {
    const ledger = await openTestLedger()
    const one = await submitOn(ledger, { web: MACHINE, other: 'other', 'web-root': MACHINE })
    const shares = 'hosts of one machine share its places, so that their runs take turns'
    expect((await reportJob(ledger, one))?.notices).toEqual([
      { notice: `one machine under different users: ${shares}`, hosts: 'web,web-root', count: 2 },
    ])
    const pairs = Array.from({ length: 600 }, (_, i) => [`h${i}`, `h${i % 300}`] as const)
    const many = await submitOn(ledger, Object.fromEntries(pairs))
    expect((await reportJob(ledger, many))?.notices).toEqual([
      { notice: `300 machines under different users: ${shares}`, hosts: 'h[0-199],…', count: 600 },
    ])
    const none = await submitOn(ledger, { web: MACHINE, other: 'other' })
    expect((await reportJob(ledger, none))?.notices).toEqual([])
  })
})

describe('a host key', () => {
  const meaning = 'one machine under several addresses, or copies of one image'
  /** Runs the job on all its hosts; `keyOf` says which key each shows. */
  const runAll = async (ledger: Ledger, jobId: string, count: number, keyOf: (index: number) => Buffer | undefined) => {
    for (let index = 0; index < count; index += 1) {
      const claim = await claimed(ledger, jobId, index)
      const hostKey = keyOf(index)
      await dispatchRun(ledger, claim, { connectMs: 1, mode: 'attached', ...(hostKey && { hostKey }) })
      await finishRun(ledger, claim, { ...ENDS.ok, detail: null, signal: null, isRetryable: false })
    }
    return (await reportJob(ledger, jobId))?.notices
  }

  test('a host key that two hosts of a job show is reported, with both hosts, and nothing else changes', async () => {
    const ledger = await openTestLedger()
    const [shared, own] = [randomBytes(51), randomBytes(51)]
    const notices = await runAll(ledger, await submitTo(ledger, 3), 3, (index) => (index === 1 ? own : shared))
    expect(notices).toEqual([{ notice: `showed the same host key as h0: ${meaning}`, hosts: 'h2', count: 1 }])
  })

  test('that many show is one notice with their number, and what was kept to notice it goes with the job', async () => {
    const ledger = await openTestLedger()
    const [image, other] = [randomBytes(279), randomBytes(51)]
    const jobId = await submitTo(ledger, 240)
    const notices = await runAll(ledger, jobId, 240, (index) => (index === 7 || index === 9 ? other : image))
    expect(notices).toEqual([
      { notice: `showed the same host key as h0: ${meaning}`, hosts: expect.stringMatching(/,…$/), count: 237 },
      { notice: `showed the same host key as h7: ${meaning}`, hosts: 'h9', count: 1 },
    ])
    const left = (await ledger.redis.keys(`${ledger.keys.job(jobId)}:*`)).map((key) => key.split(':').at(-1))
    expect(left.sort()).toEqual(['hosts', 'twins'])
  })

  test('of which there are many, each shown by two hosts, are one notice', async () => {
    const ledger = await openTestLedger()
    const keys = Array.from({ length: 6 }, () => randomBytes(51))
    const notices = await runAll(ledger, await submitTo(ledger, 12), 12, (index) => keys[index % 6])
    const notice = `showed the host key of another host of this job: ${meaning}`
    expect(notices).toEqual([{ notice, hosts: 'h[6-11]', count: 6 }])
  })

  test('shown at each attempt of a host, by hosts of one machine or of two jobs, gives no notice', async () => {
    const ledger = await openTestLedger()
    const key = randomBytes(51)
    const one = await submitOn(ledger, { web: MACHINE, 'web-root': MACHINE })
    expect(await runAll(ledger, one, 2, () => key)).toMatchObject([{ hosts: 'web,web-root', count: 2 }])
    expect(await runAll(ledger, await submitTo(ledger, 1), 1, () => key)).toEqual([])
    const again = await submitTo(ledger, 2, { retry_on: [1], retry_backoff_s: 0 })
    const first = await claimed(ledger, again)
    await dispatchRun(ledger, first, { connectMs: 1, mode: 'attached', hostKey: key })
    expect(await endAs(ledger, first, 'failed')).toBe('retrying')
    await dispatchRun(ledger, await claimed(ledger, again), { connectMs: 1, mode: 'attached', hostKey: key })
    expect((await reportJob(ledger, again))?.notices).toEqual([])
  })
})
