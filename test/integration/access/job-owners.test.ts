/** Jobs belong to the owner of the key that submitted them: nobody else can tell that they exist. */
import { ALL_SCOPES, JobReport, OPERATION_NAMES, OPERATIONS, type Scope } from '@muster/contract'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { everyMcpCall, everyRestCall, everythingStored } from '../../support/server/every-call.ts'
import { startTestServer } from '../../support/server/server.ts'

const NO_JOB = `job_${'a'.repeat(26)}`
const OWN: readonly Scope[] = ALL_SCOPES.filter((scope) => scope !== 'jobs:all')
const SUBMIT = { command: 'true', targets: '@web' }
const JobList = OPERATIONS.list_jobs.output

/** A server, and what its owners ann and bob do; each has a key for all of what is their own. */
async function serverOfTwo() {
  const server = await startTestServer()
  const [ann, annToo, bob, ops] = [
    await server.makeKey({ owner: 'ann', scopes: OWN }),
    await server.makeKey({ owner: 'ann', scopes: OWN }),
    await server.makeKey({ owner: 'bob', scopes: OWN }),
    await server.makeKey({ owner: 'ops' }),
  ]
  const submit = async ({ authorization }: { authorization: string }, more: object = {}) => {
    const answer = await server.call('POST', '/v1/jobs', { headers: { authorization }, body: { ...SUBMIT, ...more } })
    return JobReport.parse(answer.body)
  }
  const list = async ({ authorization }: { authorization: string }, query = '') => {
    const answer = await server.call('GET', `/v1/jobs?${query}`, { headers: { authorization } })
    return { status: answer.status, body: answer.body, page: JobList.safeParse(answer.body).data }
  }
  const idsOf = async (key: { authorization: string }, query = '') =>
    (await list(key, query)).page?.jobs.map(({ job_id: jobId }) => jobId)
  return { ...server, ann, annToo, bob, ops, submit, list, idsOf }
}

describe('the job of another owner', () => {
  test('is by every operation answered as one that does not exist, and nothing is changed', async () => {
    const server = await serverOfTwo()
    const { job_id: jobId } = await server.submit(server.ann)
    const calls = [...everyRestCall(server), ...everyMcpCall(server)].filter(({ takesJob }) => takesJob)
    expect(calls.length).toBeGreaterThanOrEqual(17)
    const before = await everythingStored(server)
    for (const { name, make } of calls) {
      const theirs = await make(server.bob.authorization, { job_id: jobId })
      const none = await make(server.bob.authorization, { job_id: NO_JOB })
      expect([name, theirs.text]).toEqual([name, expect.stringContaining('not_found')])
      expect([name, theirs.isRefused]).toEqual([name, true])
      expect([name, theirs.text.replaceAll(jobId, NO_JOB)]).toEqual([name, none.text])
    }
    expect(await everythingStored(server)).toEqual(before)
  }, 60_000)

  test('is named by no field but job_id, by which it is found out whose it is', () => {
    for (const name of OPERATION_NAMES) {
      const { properties } = z
        .looseObject({ properties: z.record(z.string(), z.looseObject({ pattern: z.string().optional() })) })
        .parse(z.toJSONSchema(OPERATIONS[name].input, { io: 'input' }))
      const naming = Object.entries(properties).filter(([, { pattern }]) => pattern?.startsWith('^job_'))
      expect([name, naming.map(([field]) => field).filter((field) => field !== 'job_id')]).toEqual([name, []])
    }
  })

  test('is open to the other keys of its owner, and to a key with jobs:all, by every operation', async () => {
    const server = await serverOfTwo()
    const { job_id: jobId } = await server.submit(server.ann)
    // So that following it ends.
    await server.call('POST', `/v1/jobs/${jobId}/cancel`)
    for (const { name, make } of [...everyRestCall(server), ...everyMcpCall(server)].filter((call) => call.takesJob)) {
      for (const { authorization } of [server.annToo, server.ops]) {
        const { text } = await make(authorization, { job_id: jobId })
        expect([name, text]).toEqual([name, expect.not.stringMatching(/not_found|insufficient_scope|^[45]0[0135]/)])
      }
    }
  }, 60_000)

  test('is told from one whose ID is none, which is a request of the wrong form', async () => {
    const { call, bob } = await serverOfTwo()
    const answer = await call('GET', '/v1/jobs/job_1', { headers: { authorization: bob.authorization } })
    expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request'])
  })
})

describe('a job', () => {
  test('says whose it is and by which key it was submitted', async () => {
    const { ann, annToo, submit, call } = await serverOfTwo()
    const { job_id: jobId } = await submit(ann)
    const { body } = await call('GET', `/v1/jobs/${jobId}`, { headers: { authorization: annToo.authorization } })
    expect(body).toMatchObject({ owner: 'ann', submitted_by: ann.keyId })
  })

  test('that was stored before keys had owners belongs to the key that submitted it', async () => {
    const { ann, submit, call, ledger } = await serverOfTwo()
    const { job_id: jobId } = await submit(ann)
    await ledger.redis.hdel(ledger.keys.job(jobId), 'key_id')
    await ledger.redis.hset(ledger.keys.job(jobId), 'owner', 'first')
    const { body } = await call('GET', `/v1/jobs/${jobId}`)
    expect(body).toMatchObject({ owner: 'first', submitted_by: 'first', traceparent: null })
  })

  test('that is run again belongs to who ran it again; whom that is, the first owner is not told', async () => {
    const { ann, annToo, ops, submit, call } = await serverOfTwo()
    const { job_id: jobId } = await submit(ann)
    await call('POST', `/v1/jobs/${jobId}/cancel`)
    const again = async ({ authorization }: { authorization: string }) => {
      const body = { states: ['cancelled'] }
      return JobReport.parse((await call('POST', `/v1/jobs/${jobId}/rerun`, { headers: { authorization }, body })).body)
    }
    const [byOps, byAnn] = [await again(ops), await again(annToo)]
    expect(byOps).toMatchObject({ owner: 'ops', submitted_by: ops.keyId, rerun_of: jobId })
    expect(byAnn).toMatchObject({ owner: 'ann', submitted_by: annToo.keyId, rerun_of: jobId })
    const first = await call('GET', `/v1/jobs/${jobId}`, { headers: { authorization: ann.authorization } })
    expect(first.body.reruns).toEqual([byAnn.job_id])
  })

  test('is another for each owner with the same idempotency key, and the same for all keys of one', async () => {
    const { ann, annToo, bob, submit } = await serverOfTwo()
    const same = { idempotency_key: 'deploy-1' }
    const [first, second, other] = [await submit(ann, same), await submit(annToo, same), await submit(bob, same)]
    expect(second.job_id).toBe(first.job_id)
    expect(second.submitted_by).toBe(ann.keyId)
    expect(other.job_id).not.toBe(first.job_id)
  })
})

describe('the list of jobs', () => {
  test('has those of one’s own owner, and with jobs:all those of all, or of one', async () => {
    const { ann, annToo, bob, ops, submit, idsOf } = await serverOfTwo()
    const a1 = (await submit(ann)).job_id
    const b1 = (await submit(bob)).job_id
    const a2 = (await submit(annToo)).job_id
    expect(await idsOf(ann)).toEqual([a2, a1])
    expect(await idsOf(annToo, 'owner=ann')).toEqual([a2, a1])
    expect(await idsOf(bob, 'state=queued')).toEqual([b1])
    expect(await idsOf(ops)).toEqual([a2, b1, a1])
    expect(await idsOf(ops, 'owner=ann')).toEqual([a2, a1])
    expect(await idsOf(ops, 'owner=nobody')).toEqual([])
  })

  test('of another owner is refused without jobs:all, whether there is such an owner or not', async () => {
    const { ann, bob, submit, list } = await serverOfTwo()
    await submit(ann)
    const [theirs, nobodys] = [await list(bob, 'owner=ann'), await list(bob, 'owner=nobody')]
    expect([theirs.status, theirs.body.code, theirs.body.scope]).toEqual([403, 'insufficient_scope', 'jobs:all'])
    expect(theirs.body).toEqual(nobodys.body)
  })

  test('goes on page by page without those of others, and a cursor is good for its own list only', async () => {
    const { ann, bob, ops, submit, list, idsOf } = await serverOfTwo()
    const own: string[] = []
    for (let i = 0; i < 5; i += 1) {
      own.unshift((await submit(ann)).job_id)
      await submit(bob)
    }
    const first = (await list(ann, 'limit=2')).page
    const cursor = `cursor=${first?.next_cursor}`
    const second = (await list(ann, `limit=2&${cursor}`)).page
    const third = await idsOf(ann, `limit=2&cursor=${second?.next_cursor}`)
    expect(
      [...(first?.jobs ?? []), ...(second?.jobs ?? [])].map(({ job_id: jobId }) => jobId).concat(third ?? []),
    ).toEqual(own)
    expect((await list(bob, cursor)).body).toMatchObject({ code: 'invalid_request', field: 'cursor' })
    expect((await list(ops, cursor)).body).toMatchObject({ code: 'invalid_request', field: 'cursor' })
    expect((await list(ops, `owner=ann&${cursor}`)).status).toBe(200)
  })
})

describe('the trace context of a call', () => {
  const TRACE = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
  const OTHER = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b8-00'

  test('is kept with the job that it submits, reruns or tests a host with', async () => {
    const { call } = await startTestServer()
    const headers = { traceparent: TRACE }
    const job = JobReport.parse((await call('POST', '/v1/jobs', { headers, body: SUBMIT })).body)
    expect(job.traceparent).toBe(TRACE)
    await call('POST', `/v1/jobs/${job.job_id}/cancel`, { headers: { traceparent: OTHER } })
    expect((await call('GET', `/v1/jobs/${job.job_id}`)).body.traceparent).toBe(TRACE)
    const body = { states: ['cancelled'] }
    const again = await call('POST', `/v1/jobs/${job.job_id}/rerun`, { headers: { traceparent: OTHER }, body })
    expect(again.body.traceparent).toBe(OTHER)
    const tested = await call('POST', '/v1/hosts/web01/test', { headers, body: { wait_s: 0 } })
    expect((await call('GET', `/v1/jobs/${tested.body.job_id}`)).body.traceparent).toBe(TRACE)
  })

  test('that is none is as good as none, and refuses nothing', async () => {
    const { call } = await startTestServer()
    for (const traceparent of ['', 'x', `${TRACE}, ${OTHER}`, TRACE.toUpperCase()]) {
      const { status, body } = await call('POST', '/v1/jobs', { headers: { traceparent }, body: SUBMIT })
      expect([status, body.traceparent]).toEqual([202, null])
    }
  })
})
