/** Changing a job that is there: cancelling some of its hosts and raising its limit. Real HTTP and a real Redis. */
import { JobReport, OPERATIONS } from '@muster/contract'
import { finishRun, watchJobs } from '@muster/ledger'
import { describe, expect, onTestFinished, test } from 'vitest'
import { ended, start } from '../../support/ledger/held-run.ts'
import { submitTo } from '../../support/ledger/ledger.ts'
import { startTestServer } from '../../support/server/server.ts'

const NO_JOB = `job_${'a'.repeat(26)}`

/** A server with a job on web01 … web06, of which two may start at once. */
async function startWithJob() {
  const server = await startTestServer()
  const { body } = await server.call('POST', '/v1/jobs', {
    body: { command: 'x', targets: 'web[01-06]', concurrency: 2 },
  })
  const { job_id: jobId } = JobReport.parse(body)
  const cancel = (targets: unknown) => server.call('POST', `/v1/jobs/${jobId}/cancel`, { body: { targets } })
  const states = async () => {
    const { body: page } = await server.call('GET', `/v1/jobs/${jobId}/runs`)
    const { runs } = OPERATIONS.list_runs.output.parse(page)
    return Object.fromEntries(runs.map(({ host, state }) => [host, state]))
  }
  return { ...server, jobId, cancel, states }
}

describe('cancelling some hosts of a job', () => {
  test('ends these and lets the others go on', async () => {
    const { cancel, states } = await startWithJob()
    const answer = await cancel('web01,web[05-06]')
    expect([answer.status, answer.body]).toMatchObject([202, { state: 'queued', cancel_requested_at: null }])
    expect(await states()).toEqual({
      web01: 'cancelled',
      web02: 'queued',
      web03: 'queued',
      web04: 'pending',
      web05: 'cancelled',
      web06: 'cancelled',
    })
    expect((await cancel('web01,web[05-06]')).body).toEqual(answer.body)
  })

  test('a group is that of the inventory, and counts where it meets the job', async () => {
    const { cancel, states } = await startWithJob()
    await cancel('@web!web[02-06]')
    expect(Object.values(await states()).filter((state) => state === 'cancelled')).toHaveLength(1)
    const all = await cancel('@*')
    expect(all.body).toMatchObject({ state: 'cancelled', counts: { cancelled: 6 } })
  })

  test('a host that has left the inventory is still a host of the job, by name and as one of all', async () => {
    const { ledger, call } = await startTestServer()
    const jobId = await submitTo(ledger, 3)
    const one = await call('POST', `/v1/jobs/${jobId}/cancel`, { body: { targets: 'h1' } })
    expect([one.status, one.body.counts]).toMatchObject([202, { cancelled: 1, queued: 2 }])
    const rest = await call('POST', `/v1/jobs/${jobId}/cancel`, { body: { targets: '@*!h0' } })
    expect(rest.body.counts).toMatchObject({ cancelled: 2, queued: 1 })
  })

  test('a run that a worker holds is told to stop, and the job does not end before it', async () => {
    const { ledger, call } = await startTestServer()
    const jobId = await submitTo(ledger, 2)
    const claimed = await start(ledger, jobId, 0)
    const watch = await watchJobs(ledger, () => {})
    onTestFinished(() => watch.stop())
    const told = new Promise<string>((resolve) => {
      watch.watch(jobId, 0, { onStop: resolve, onExecTimeout: () => {} })
    })
    const answer = await call('POST', `/v1/jobs/${jobId}/cancel`, { body: { targets: 'h[0-1]' } })
    expect(answer.body).toMatchObject({ state: 'running', counts: { running: 1, cancelled: 1 } })
    expect(await told).toBe('cancelled_by_user')
    await finishRun(ledger, claimed, ended({ state: 'cancelled', reason: 'cancelled_by_user', exitCode: null }))
    expect((await call('GET', `/v1/jobs/${jobId}`)).body).toMatchObject({ counts: { cancelled: 2 } })
  })

  test.each([
    ['hosts that are not in the job', 'web[07-12],db1', 422, 'unknown_target'],
    ['a host that is not in the job among others', 'web01,web07', 422, 'unknown_target'],
    ['a group without hosts of the job', '@nobody', 422, 'no_targets'],
    ['nothing at all', 'web01!web01', 422, 'no_targets'],
    ['a host that nobody knows', 'web01,web99', 422, 'unknown_target'],
    ['a group that nobody knows', '@wbe', 422, 'unknown_target'],
    ['a malformed expression', 'web01,,web02', 422, 'invalid_target'],
    ['an empty expression', '', 400, 'invalid_request'],
    ['a list', ['web01'], 400, 'invalid_request'],
    ['null', null, 400, 'invalid_request'],
  ])('%s is refused, and nothing is cancelled', async (_what, targets, status, code) => {
    const { cancel, states } = await startWithJob()
    const answer = await cancel(targets)
    expect([answer.status, answer.body]).toMatchObject([status, { code, field: 'targets' }])
    expect(Object.values(await states()).filter((state) => state === 'cancelled')).toEqual([])
  })

  test('hosts of a job that is not there are not found', async () => {
    const { call } = await startTestServer()
    const answer = await call('POST', `/v1/jobs/${NO_JOB}/cancel`, { body: { targets: 'web01' } })
    expect([answer.status, answer.body.code]).toEqual([404, 'not_found'])
  })
})

describe('raising the limit of a job', () => {
  test('is told to the worker that holds a run, shown with the job, and can be repeated', async () => {
    const { ledger, call } = await startTestServer()
    const jobId = await submitTo(ledger, 1, { exec_timeout_s: 10 })
    await start(ledger, jobId, 0)
    const watch = await watchJobs(ledger, () => {})
    onTestFinished(() => watch.stop())
    const told = new Promise<number>((resolve) => {
      watch.watch(jobId, 0, { onStop: () => {}, onExecTimeout: (ms) => ms > 10_000 && resolve(ms) })
    })
    const extend = (exec_timeout_s: number) => call('POST', `/v1/jobs/${jobId}/extend`, { body: { exec_timeout_s } })
    const raised = await extend(20.5)
    expect([raised.status, raised.body.exec_timeout_s]).toEqual([200, 20.5])
    expect(await told).toBe(20_500)
    expect((await extend(20.5)).status).toBe(200)
    const lowered = await extend(15)
    expect([lowered.status, lowered.body]).toMatchObject([400, { code: 'invalid_request', field: 'exec_timeout_s' }])
    expect((await call('GET', `/v1/jobs/${jobId}`)).body.exec_timeout_s).toBe(20.5)
  })

  test('that has ended is refused with what it came to', async () => {
    const { jobId, cancel, call } = await startWithJob()
    await cancel('@*')
    const answer = await call('POST', `/v1/jobs/${jobId}/extend`, { body: { exec_timeout_s: 1_000 } })
    expect([answer.status, answer.body]).toMatchObject([409, { code: 'job_ended', job_id: jobId }])
    expect(answer.body.detail).toContain('is cancelled already')
  })

  test.each([
    ['no limit', {}],
    ['text', { exec_timeout_s: '600' }],
    ['a limit that is too large', { exec_timeout_s: 1e9 }],
    ['no number', { exec_timeout_s: null }],
  ])('%s is refused by the name of the field', async (_what, body) => {
    const { jobId, call } = await startWithJob()
    const answer = await call('POST', `/v1/jobs/${jobId}/extend`, { body })
    expect([answer.status, answer.body]).toMatchObject([400, { field: 'exec_timeout_s' }])
  })

  test('a job that is not there is not found, and what is no job ID is refused', async () => {
    const { call } = await startTestServer()
    const body = { exec_timeout_s: 600 }
    expect((await call('POST', `/v1/jobs/${NO_JOB}/extend`, { body })).status).toBe(404)
    expect((await call('POST', '/v1/jobs/job_x/extend', { body })).status).toBe(400)
  })
})
