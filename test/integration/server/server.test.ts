/** The REST interface over real HTTP and a real Redis, without a worker: jobs are accepted and stay queued. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { JobReport, OPERATIONS, Problem } from '@muster/contract'
import { describe, expect, test } from 'vitest'
import { startTestServer } from '../../support/server/server.ts'

const UPTIME = { command: 'uptime', targets: '@web' }
const NO_JOB = `job_${'a'.repeat(26)}`

describe('a job', () => {
  test('is accepted with its ID and where to find it, and is there when asked for', async () => {
    const { call } = await startTestServer()
    const accepted = await call('POST', '/v1/jobs', { body: UPTIME })
    const job = JobReport.parse(accepted.body)
    expect(accepted.status).toBe(202)
    expect(accepted.headers.get('location')).toBe(`/v1/jobs/${job.job_id}`)
    expect(job).toMatchObject({ state: 'queued', total: 12, submitted_by: 'first', command: 'uptime' })
    expect((await call('GET', job.links.self)).body).toEqual(accepted.body)
    expect((await call('GET', '/v1/jobs')).body).toMatchObject({ jobs: [{ job_id: job.job_id }], next_cursor: null })
  })

  test('tells the options it was submitted with, and those that went without saying', async () => {
    const { call } = await startTestServer()
    const asked = {
      canary: 1,
      gate: 'manual',
      max_errors: '10%',
      concurrency: '50%',
      health_check: { command: `true ${'x'.repeat(3_000)}` },
    }
    const { options } = JobReport.parse((await call('POST', '/v1/jobs', { body: { ...UPTIME, ...asked } })).body)
    expect(options).toEqual({
      ...asked,
      read_only: false,
      on_budget: 'drain',
      batch_pause_s: 0,
      force: false,
      health_check: { command: `true ${'x'.repeat(1_995)}…`, timeout_s: 30 },
    })
  })

  test('is refused for a field that is unknown within another', async () => {
    const { call } = await startTestServer()
    const body = { ...UPTIME, health_check: { command: 'true', timeout: 1 } }
    expect(await call('POST', '/v1/jobs', { body })).toMatchObject({
      status: 400,
      body: { field: 'health_check.timeout', nearest: ['timeout_s'] },
    })
  })

  test('has a run for each host, paged and filtered, and one by the name of its host', async () => {
    const { call } = await startTestServer()
    const { job_id: jobId } = JobReport.parse((await call('POST', '/v1/jobs', { body: UPTIME })).body)
    const page = OPERATIONS.list_runs.output.parse((await call('GET', `/v1/jobs/${jobId}/runs?limit=5`)).body)
    expect(page.runs.map((run) => run.host)).toEqual(['web01', 'web02', 'web03', 'web04', 'web05'])
    const rest = await call('GET', `/v1/jobs/${jobId}/runs?limit=50&cursor=${page.next_cursor}`)
    expect(OPERATIONS.list_runs.output.parse(rest.body)).toMatchObject({ next_cursor: null })
    expect((await call('GET', `/v1/jobs/${jobId}/runs?state=running`)).body).toMatchObject({ runs: [] })
    expect((await call('GET', `/v1/jobs/${jobId}/runs/web07`)).body).toMatchObject({ host: 'web07', state: 'queued' })
    const nobody = await call('GET', `/v1/jobs/${jobId}/runs/web99`)
    expect([nobody.status, nobody.body.detail]).toEqual([404, expect.stringContaining('has no host "web99"')])
  })

  test('is the same job when it is sent again with the same idempotency key, in the header or the body', async () => {
    const { call } = await startTestServer()
    const headers = { 'idempotency-key': 'deploy-1' }
    const first = await call('POST', '/v1/jobs', { body: UPTIME, headers })
    const again = await call('POST', '/v1/jobs', { body: { ...UPTIME, idempotency_key: 'deploy-1' } })
    expect(again.body.job_id).toBe(first.body.job_id)
    const other = await call('POST', '/v1/jobs', { body: { ...UPTIME, command: 'date' }, headers })
    expect([other.status, other.body.code, other.body.job_id]).toEqual([409, 'idempotency_conflict', first.body.job_id])
    const differing = await call('POST', '/v1/jobs', { body: { ...UPTIME, idempotency_key: 'deploy-2' }, headers })
    expect([differing.status, differing.body.field]).toEqual([400, 'idempotency_key'])
    expect((await call('GET', '/v1/jobs')).body.jobs).toHaveLength(1)
  })

  test('that nobody works on answers a wait with its state when the time is over', async () => {
    const { call } = await startTestServer()
    const { body } = await call('POST', '/v1/jobs', { body: { ...UPTIME, wait_s: 0.1 } })
    expect(body.state).toBe('queued')
    expect((await call('GET', `/v1/jobs/${body.job_id}?wait_s=0.1&until=any_change`)).body.state).toBe('queued')
  })

  test('tells a change that happened between two calls at once to whoever says what was seen last', async () => {
    const { call } = await startTestServer()
    const { body } = await call('POST', '/v1/jobs', { body: UPTIME })
    const changed = await call('POST', `/v1/jobs/${body.job_id}/concurrency`, { body: { concurrency: 7 } })
    const path = `/v1/jobs/${body.job_id}?until=any_change&wait_s=45&after=${body.changes}`
    // Were it not told, this would wait until the test gives up.
    expect((await call('GET', path)).body).toMatchObject({ concurrency: 7, changes: changed.body.changes })
  })

  test('ends a wait when it is cancelled, and being cancelled twice changes nothing', async () => {
    const { call } = await startTestServer()
    const { body } = await call('POST', '/v1/jobs', { body: UPTIME })
    const waiting = call('GET', `/v1/jobs/${body.job_id}?wait_s=20`)
    const cancelled = await call('POST', `/v1/jobs/${body.job_id}/cancel`)
    expect([cancelled.status, cancelled.body.state]).toEqual([202, 'cancelled'])
    expect((await waiting).body).toMatchObject({ state: 'cancelled', counts: { cancelled: 12 } })
    const again = await call('POST', `/v1/jobs/${body.job_id}/cancel`, { body: {} })
    expect(again.body).toEqual(cancelled.body)
  })

  test('shows its output by host and gathered, empty while nothing ran', async () => {
    const { call } = await startTestServer()
    const { body } = await call('POST', '/v1/jobs', { body: UPTIME })
    const page = OPERATIONS.read_output.output.parse(
      (await call('GET', `/v1/jobs/${body.job_id}/runs/web01/output`)).body,
    )
    expect(page).toMatchObject({ stream: 'stdout', data: '', total_bytes: 0, eof: false })
    const gathered = OPERATIONS.gather_output.output.parse((await call('GET', `/v1/jobs/${body.job_id}/output`)).body)
    expect(gathered).toMatchObject({
      groups: [],
      without_output: [{ state: 'queued', hosts: 'web[01-12]', count: 12 }],
    })
  })

  test('that does not exist is not found, on every route under it', async () => {
    const { call } = await startTestServer()
    for (const path of ['', '/runs', '/runs/web01', '/runs/web01/output', '/output']) {
      const { status, body } = await call('GET', `/v1/jobs/${NO_JOB}${path}`)
      expect([path, status, body.code, body.job_id]).toEqual([path, 404, 'not_found', NO_JOB])
    }
    expect((await call('POST', `/v1/jobs/${NO_JOB}/cancel`)).status).toBe(404)
  })
})

describe('hosts', () => {
  test('are listed by pages of what an expression selects, without credentials', async () => {
    const { call } = await startTestServer()
    const first = OPERATIONS.list_hosts.output.parse((await call('GET', '/v1/hosts?targets=@web,db1&limit=12')).body)
    expect([first.total, first.hosts.length]).toEqual([13, 12])
    const rest = OPERATIONS.list_hosts.output.parse(
      (await call('GET', `/v1/hosts?targets=@web,db1&limit=12&cursor=${first.next_cursor}`)).body,
    )
    const db1 = {
      name: 'db1',
      aliases: [],
      address: 'db1.internal',
      port: 2222,
      user: 'deploy',
      jump: 'bastion',
      host_key_alias: null,
      known_hosts_files: [],
      groups: [],
      labels: {},
      disabled: null,
      not_taken: [],
    }
    expect(rest).toEqual({ hosts: [db1], total: 13, next_cursor: null })
    expect((await call('GET', '/v1/hosts?cursor=x')).body).toMatchObject({ code: 'invalid_request', field: 'cursor' })
  })

  test('are tested by a job, and nothing is claimed while no worker has answered', async () => {
    const { call } = await startTestServer()
    const { status, body } = await call('POST', '/v1/hosts/db1/test', { body: { wait_s: 0.1 } })
    expect([status, OPERATIONS.test_host.output.parse(body)]).toMatchObject([
      200,
      { host: 'db1', ok: null, state: 'queued' },
    ])
    const job = JobReport.parse((await call('GET', `/v1/jobs/${body.job_id}`)).body)
    expect(job).toMatchObject({ title: 'connection test', command: 'true', total: 1 })
    expect((await call('POST', '/v1/hosts/@web/test')).body).toMatchObject({ status: 400, field: 'host' })
    expect((await call('POST', '/v1/hosts/db2/test')).body).toMatchObject({ status: 422, nearest: ['db1'] })
  })
})

describe('a bad request is refused with what is wrong with it', () => {
  const json = { 'content-type': 'application/json' }
  test.each([
    [
      'an unknown host',
      { command: 'x', targets: 'wbe01' },
      {},
      422,
      'unknown_target',
      { nearest: expect.arrayContaining(['web01']) },
    ],
    ['an unknown group', { command: 'x', targets: '@wbe' }, {}, 422, 'unknown_target', { nearest: ['@web'] }],
    ['an empty set', { command: 'x', targets: 'db1!db1' }, {}, 422, 'no_targets', { field: 'targets' }],
    ['a group without hosts', { command: 'x', targets: '@nobody' }, {}, 422, 'no_targets', { field: 'targets' }],
    ['no targets at all', { command: 'x' }, {}, 400, 'invalid_request', { field: 'targets' }],
    [
      'a malformed expression',
      { command: 'x', targets: 'db1,,web01' },
      {},
      422,
      'invalid_target',
      { field: 'targets', position: 4 },
    ],
    [
      'a malformed range',
      { command: 'x', targets: 'web[3-1]' },
      {},
      422,
      'invalid_target',
      { field: 'targets', position: 4 },
    ],
    [
      'an unknown field',
      { comand: 'x', targets: 'db1' },
      {},
      400,
      'invalid_request',
      { field: 'comand', nearest: ['command'] },
    ],
    [
      'text that is not JSON',
      '{"command":',
      json,
      400,
      'invalid_request',
      { detail: expect.stringContaining('not JSON') },
    ],
    ['a body that is no object', '[1]', json, 400, 'invalid_request', { detail: expect.stringContaining('an array') }],
    [
      'a body of another type',
      'command=x',
      { 'content-type': 'application/x-www-form-urlencoded' },
      415,
      'unsupported_media_type',
      {},
    ],
  ])('%s', async (_what, body, headers, status, code, told) => {
    const { call } = await startTestServer()
    const answer = await call('POST', '/v1/jobs', { body, headers })
    expect(answer.headers.get('content-type')).toContain('application/problem+json')
    expect([answer.status, Problem.parse(answer.body)]).toMatchObject([status, { status, code, ...told }])
    expect((await call('GET', '/v1/jobs')).body.jobs).toEqual([])
  })

  test('an unknown route or method', async () => {
    const { call } = await startTestServer()
    for (const [method, path] of [
      ['GET', '/v1/job'],
      ['DELETE', '/v1/jobs'],
      ['GET', '/v1/jobs/%E0%A4%A'],
    ] as const) {
      const answer = await call(method, path)
      expect([path, answer.status >= 400 && answer.status < 500]).toEqual([path, true])
      expect(Problem.parse(answer.body).status).toBe(answer.status)
    }
  })
})

test('what callers send is not in the log', async () => {
  const { call, lines, key, dataDir } = await startTestServer()
  const body = { command: 'echo hunter2', targets: 'db1', stdin: 'hunter2', env: { PASSWORD: 'hunter2' } }
  const { body: job } = await call('POST', '/v1/jobs', { body })
  await call('POST', '/v1/jobs', { body: `{"hunter2": hunter2` })
  await call('GET', '/v1/jobs?cursor=hunter2')
  const log = lines.join('')
  expect(log).toContain(job.job_id)
  expect(log).not.toContain('hunter2')
  expect(log).not.toContain((await readFile(join(dataDir, 'api-key'), 'utf8')).trim())
  expect(log).not.toContain(key)
})
