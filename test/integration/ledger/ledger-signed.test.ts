/** What is stored of signatures: beside the job with its acceptance, and each order with the change that it allows. */
import { Submit } from '@muster/contract'
import { extendJob, type Ledger, readSpec, resumeJob, SignedJob, setConcurrency, submitJob } from '@muster/ledger'
import { expect, test } from 'vitest'
import {
  digestOf,
  JobTerms,
  OrderTerms,
  readSigned,
  readSignedFields,
  SIGNED_FIELDS,
  UNSIGNED_FIELDS,
  whatDiffers,
} from '../../../libs/ledger/src/job/signed-work.ts'
import { openTestLedger } from '../../support/ledger/ledger.ts'
import { claimIndex, workOff } from '../../support/ledger/ledger-worker.ts'

/** What is "signed" here can be read again. */
const sign = async (kind: 'job' | 'order', terms: object) => JSON.stringify({ kind, ...terms })

async function submit(ledger: Ledger, request: Record<string, unknown>, count = 3): Promise<string> {
  const hosts = Array.from({ length: count }, (_, i) => `h${i}`)
  const sealing = { names: ['sudo_password'], seal: async () => 'sealed', mac: 'm', isKept: true }
  const keyLimits = { hosts: ['@web'], shares: [{ key_id: 'k', max_jobs_per_hour: 9, max_concurrency: 2 }] }
  const parsed = Submit.parse({ targets: '@*', command: 'true', sudo: true, ...request })
  const job = { request: parsed, hosts, owner: 'me', keyId: 'k', keyLimits, secrets: sealing, sign }
  await ledger.redis.hset(ledger.keys.apiKeys, 'k', '{}')
  return (await submitJob(ledger, job)).jobId
}

async function orderOf(ledger: Ledger, jobId: string, name: string) {
  const [text] = await readSigned(ledger, jobId, [name])
  return text === undefined ? undefined : OrderTerms.parse(JSON.parse(text))
}

test.each([
  ['small', { command: 'true' }],
  ['large', { command: undefined, script: `#!/bin/sh\n${'#'.repeat(40_000)}\n`, stdin: 'x'.repeat(40_000) }],
  [
    'in batches',
    { batches: [1, '50%'], gate: 'manual', batch_pause_s: 2, retry_on: [3], health_check: { command: 'true' } },
  ],
  ['forced', { force: true, read_only: true, max_errors: 1, on_budget: 'cancel', host_limit: 2 }],
])('a job, %s, is signed as it is stored', async (_name, request) => {
  const ledger = await openTestLedger()
  const jobId = await submit(ledger, request)
  const [text = ''] = await readSigned(ledger, jobId, ['job'])
  const terms = JobTerms.parse(JSON.parse(text))
  const texts = (await readSpec(ledger, jobId))?.texts ?? {}
  const fields = await readSignedFields(ledger, jobId, Object.keys(terms.fields))
  expect(whatDiffers(terms, { texts, fields })).toBeUndefined()
  expect(Object.keys(terms.texts).sort()).toEqual([...Object.keys(texts), 'secrets'].sort())
  expect(terms).toMatchObject({ job: jobId, total: 3, fields: { owner: 'me', key_id: 'k', key_runs: 'k:2' } })
})

test('a script that is said to be longer than Redis has it is damaged, and is read no further', async () => {
  const ledger = await openTestLedger()
  const jobId = await submit(ledger, { command: undefined, script: `#!/bin/sh\n${'#'.repeat(40_000)}\n` })
  await ledger.redis.hset(ledger.keys.job(jobId), 'script_bytes', 1e15)
  await expect(readSpec(ledger, jobId)).rejects.toThrow('Redis has 40011 of 1000000000000000 bytes of the script')
})

/** What the scripts keep of a new job beside what they are given: where it stands, clocks, the length of secrets. */
const STANDS = ['state', 'total', 'next', 'done', 'n:pending', 'n:queued']
const OF_SCRIPTS = [...STANDS, 'created', 'start_deadline', 'job_deadline', 'job_within_ms', 'secrets_bytes']

test('each field that a new job is given is signed, or has its reason not to be', async () => {
  const ledger = await openTestLedger()
  const request = Submit.parse({
    targets: '@*',
    script: '#!/bin/sh\n',
    stdin: 'x',
    sudo: true,
    batches: [1],
    gate: 'manual',
    retry_on: [3],
    health_check: { command: 'true' },
    job_timeout_s: 600,
    force: true,
  })
  const shares = [{ key_id: 'k', max_jobs_per_hour: 9, max_concurrency: 2 }]
  const job = {
    request,
    hosts: ['as-root', 'as-deploy'],
    machines: ['as-root', 'as-root'],
    owner: 'me',
    keyId: 'k',
    keyLimits: { hosts: ['@web'], shares },
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    rerun: { of: 'job_a', states: ['failed'] },
  }
  const names = ['sudo_password']
  await ledger.redis.hset(ledger.keys.apiKeys, 'k', '{}')
  const sealed = await submitJob(ledger, { ...job, secrets: { names, seal: async () => 's', mac: 'm', isKept: true } })
  const again = await submitJob(ledger, { ...job, secrets: { names, keptBy: sealed.jobId } })
  const stored = await Promise.all([sealed, again].map(({ jobId }) => ledger.redis.hkeys(ledger.keys.job(jobId))))
  const known = [...SIGNED_FIELDS, ...Object.keys(UNSIGNED_FIELDS), ...OF_SCRIPTS]
  expect([...new Set(stored.flat())].toSorted()).toEqual(known.toSorted())
})

test('an order is stored with what it changes, and not when it changes nothing', async () => {
  const ledger = await openTestLedger()
  const jobId = await submit(ledger, { batches: [1], gate: 'manual', exec_timeout_s: 60, concurrency: 1 })
  await extendJob(ledger, jobId, 90_000, sign)
  await setConcurrency(ledger, jobId, '50%', sign)
  expect(await orderOf(ledger, jobId, 'exec_timeout')).toMatchObject({ job: jobId, exec_timeout_ms: 90_000 })
  expect(await orderOf(ledger, jobId, 'concurrency')).toMatchObject({ job: jobId, concurrency: '50%' })
  await expect(extendJob(ledger, jobId, 80_000, sign)).rejects.toThrow('less than the present limit')
  expect(await orderOf(ledger, jobId, 'exec_timeout')).toMatchObject({ exec_timeout_ms: 90_000 })
  // It is not paused yet.
  expect(await resumeJob(ledger, jobId, undefined, sign)).toBe('not_paused')
  expect(await orderOf(ledger, jobId, 'gate:0')).toBeUndefined()
  for (const batch of [0, 1]) {
    await workOff(ledger, jobId)
    expect(await resumeJob(ledger, jobId, batch + 1, sign)).toBe('not_paused')
    expect(await resumeJob(ledger, jobId, batch === 0 ? undefined : batch, sign)).toBe('resumed')
    expect(await orderOf(ledger, jobId, `gate:${batch}`)).toMatchObject({ job: jobId, after_batch: batch })
  }
  await workOff(ledger, jobId)
  expect(await extendJob(ledger, jobId, 95_000, sign)).toBe('ended')
  expect(await orderOf(ledger, jobId, 'exec_timeout')).toMatchObject({ exec_timeout_ms: 90_000 })
  expect(await ledger.redis.hkeys(ledger.keys.signed(jobId))).toHaveLength(5)
})

test('a run that a raised concurrency let go is as it was signed, though that is lowered soon', async () => {
  const ledger = await openTestLedger()
  const jobId = await submit(ledger, { concurrency: 1 })
  await setConcurrency(ledger, jobId, 3, sign)
  const claim = await claimIndex(ledger, jobId, 0)
  await setConcurrency(ledger, jobId, 2, sign)
  const job = await readSpec(ledger, jobId)
  if (job === undefined || claim === undefined) throw new Error('there is no job to claim a run of')
  const check = async (_kind: 'job' | 'order', text: string) => ({ terms: JSON.parse(text) })
  const signed = await SignedJob.open(ledger, check, { jobId, ...job })
  if ('refused' in signed) throw new Error(signed.refused)
  expect(await signed.refusalOf(claim)).toBeUndefined()
  expect(await signed.refusalOf({ ...claim, concurrency: 4 })).toBe('its concurrency is 4, and 3 was signed')
})

test('a job answers under its own idempotency key and to its owner alone, though others ask for the same', async () => {
  const ledger = await openTestLedger()
  const { redis, keys } = ledger
  const check = async (_kind: 'job' | 'order', text: string) => ({ terms: JSON.parse(text) })
  const ask = async (owner: string, key: string) => {
    const request = Submit.parse({ targets: '@*', command: 'backup', idempotency_key: key })
    return await submitJob(ledger, { request, hosts: ['h0'], owner, sign, check })
  }
  const first = await ask('me', 'night-1')
  expect(await ask('me', 'night-1')).toEqual({ jobId: first.jobId, created: false })
  for (const [owner, key] of [
    ['me', 'night-2'],
    ['you', 'night-1'],
  ] as const) {
    const earlier = keys.idempotency('me', digestOf('night-1'))
    await redis.copy(earlier, keys.idempotency(owner, digestOf(key)))
    await expect(ask(owner, key)).rejects.toThrow('it was signed for another request than this one')
  }
})

test('a server that signs nothing stores nothing', async () => {
  const ledger = await openTestLedger()
  const request = Submit.parse({ targets: '@*', command: 'true', canary: 1, gate: 'manual' })
  const { jobId } = await submitJob(ledger, { request, hosts: ['a', 'b'], owner: 'me' })
  await extendJob(ledger, jobId, 900_000)
  await setConcurrency(ledger, jobId, 9)
  await workOff(ledger, jobId)
  expect(await resumeJob(ledger, jobId)).toBe('resumed')
  expect(await ledger.redis.exists(ledger.keys.signed(jobId))).toBe(0)
})
