/**
 * Selecting hosts over real HTTP and a real Redis: the preview, what a job freezes, and that a refusal enqueues
 * nothing.
 */
import { JobReport, OPERATIONS, Problem } from '@muster/contract'
import { describe, expect, test } from 'vitest'
import { startTestServer } from '../../support/server/server.ts'

const FLEET = `
hosts:
  "web[01-40]": { address: "10.0.0.[1-40]", labels: { env: prod, role: web } }
  "db[1-3]": { address: "10.0.1.[1-3]", labels: { env: prod, role: db } }
  old1: { address: 10.0.2.1, labels: { env: test }, disabled: "broken disk" }
  "old[2-3]": { address: "10.0.2.[2-3]", disabled: true }
  "many[1-60]": { address: "10.0.3.[1-60]" }
groups:
  web: "web[01-40]"
  nobody: "{env=absent}"
`

async function startFleet() {
  const server = await startTestServer({ inventoryYaml: FLEET })
  const preview = async (body: Record<string, unknown>) => {
    const answer = await server.call('POST', '/v1/targets/resolve', { body })
    return answer.status === 200 ? OPERATIONS.resolve_targets.output.parse(answer.body) : answer.body
  }
  return { ...server, preview }
}

describe('the preview of an expression', () => {
  test('tells the hosts, folded and by name, and their labels, and runs nothing', async () => {
    const { preview, call } = await startFleet()
    expect(await preview({ targets: '@web!web41-x,db*!web41-x' })).toMatchObject({ code: 'unknown_target' })
    expect(await preview({ targets: '@web!web41,{role=db}' })).toMatchObject({ code: 'unknown_target', position: 5 })
    expect(await preview({ targets: '@web!web[03-40/2],{role=db}', hosts_limit: 2 })).toEqual({
      count: 24,
      folded: 'web[01-02,04,06,08,10,12,14,16,18,20,22,24,26,28,30,32,34,36,38,40],db[1-3]',
      hosts: ['web01', 'web02'],
      hosts_omitted: 22,
      labels: { env: { prod: 24 }, role: { web: 21, db: 3 } },
      unavailable: [],
      seed: null,
    })
    expect((await call('GET', '/v1/jobs')).body.jobs).toEqual([])
  })

  test('names the hosts on which a job would not start, and why', async () => {
    const { preview, ledger } = await startFleet()
    // No breaker is open for longer than minutes: one that says so is of a clock that was set back.
    const until = Date.now() + 200_000
    const at = (ms: number) => new Date(ms).toISOString()
    await ledger.redis.zadd(
      ledger.keys.breakers,
      until - 5_000,
      'connect:web01',
      until,
      'connect:web02',
      until,
      'auth:db1',
      until,
      'connect:elsewhere',
      Date.now() - 1_000,
      'connect:web03',
    )
    expect(await preview({ targets: '@*' })).toMatchObject({
      count: 106,
      unavailable: [
        { reason: 'host_disabled', detail: 'broken disk', hosts: 'old1', count: 1 },
        { reason: 'host_disabled', detail: 'no reason given', hosts: 'old[2-3]', count: 2 },
        {
          reason: 'breaker_open',
          detail: `connecting failed too often in a row; not tried before ${at(until - 5_000)}`,
          hosts: 'web[01-02]',
          count: 2,
        },
        {
          reason: 'breaker_open',
          detail: `logging in failed too often in a row; not tried before ${at(until)}`,
          hosts: 'db1',
          count: 1,
        },
      ],
    })
    expect(await preview({ targets: '@web!web[01-02]' })).toMatchObject({ unavailable: [] })
  })

  test('counts the most frequent values of a label only', async () => {
    const hosts = Array.from({ length: 60 }, (_, i) => `  h${i}: { labels: { serial: s${Math.max(i, 8)} } }\n`).join('')
    const { call } = await startTestServer({ inventoryYaml: `hosts:\n${hosts}` })
    const { body } = await call('POST', '/v1/targets/resolve', { body: { targets: '@*' } })
    const { serial = {} } = OPERATIONS.resolve_targets.output.parse(body).labels
    expect(Object.keys(serial)).toHaveLength(50)
    expect(serial.s8).toBe(9)
  })

  test('shows the seed of what it drew, and the same seed is the same job', async () => {
    const { preview, call } = await startFleet()
    const asked = { targets: '@web', exclude: 'web[01-20]', pick: 5, order: 'shuffle' }
    const drawn = OPERATIONS.resolve_targets.output.parse(await preview(asked))
    const body = { command: 'x', ...asked, seed: drawn.seed }
    const job = JobReport.parse((await call('POST', '/v1/jobs', { body })).body)
    expect(job.selection).toEqual({
      exclude: 'web[01-20]',
      pick: 5,
      order: 'shuffle',
      limit: null,
      seed: drawn.seed,
    })
    const runs = await call('GET', `/v1/jobs/${job.job_id}/runs`)
    expect(OPERATIONS.list_runs.output.parse(runs.body).runs.map(({ host }) => host)).toEqual(drawn.hosts)
  })
})

test('hosts are listed by labels and wildcards, with why they are disabled', async () => {
  const { call } = await startFleet()
  const list = async (targets: string) => {
    const { body } = await call('GET', `/v1/hosts?targets=${encodeURIComponent(targets)}`)
    return OPERATIONS.list_hosts.output.parse(body).hosts.map(({ name, disabled }) => [name, disabled])
  }
  expect(await list('old?')).toEqual([
    ['old1', 'broken disk'],
    ['old2', 'no reason given'],
    ['old3', 'no reason given'],
  ])
  expect(await list('{role=db}&{env=prod|test}!db2')).toEqual([
    ['db1', null],
    ['db3', null],
  ])
})

describe('a refused job is not there afterwards', () => {
  const toWeb = { targets: '@web' }
  test.each([
    [{ targets: 'web[1-0]' }, 422, 'invalid_target', { field: 'targets', position: 4 }],
    [{ targets: 'web[01-40' }, 422, 'invalid_target', { field: 'targets', position: 9 }],
    [{ targets: '(@web' }, 422, 'invalid_target', { field: 'targets', position: 5 }],
    [{ targets: 'n[1-10001]' }, 422, 'invalid_target', { field: 'targets', position: 0 }],
    [{ targets: '@nosuch' }, 422, 'unknown_target', { field: 'targets', position: 0 }],
    [{ targets: '@web,db*,x*' }, 422, 'unknown_target', { field: 'targets', position: 9 }],
    [{ targets: '@nobody' }, 422, 'no_targets', { field: 'targets' }],
    [{ targets: '@web', exclude: 'web*' }, 422, 'no_targets', { field: 'exclude' }],
    [{ targets: '@web', exclude: 'web0[' }, 422, 'invalid_target', { field: 'exclude', position: 5 }],
    [{ ...toWeb, pick: 0 }, 400, 'invalid_request', { field: 'pick' }],
    [{ ...toWeb, limit: 0 }, 400, 'invalid_request', { field: 'limit' }],
    [{ ...toWeb, order: 'random' }, 400, 'invalid_request', { field: 'order' }],
    [{ ...toWeb, seed: -1 }, 400, 'invalid_request', { field: 'seed' }],
    [{ ...toWeb, concurrency: '101%' }, 400, 'invalid_request', { field: 'concurrency' }],
    [{ ...toWeb, concurrency: '0%' }, 400, 'invalid_request', { field: 'concurrency' }],
    [{ ...toWeb, max_errors: '101%' }, 400, 'invalid_request', { field: 'max_errors' }],
    [{ ...toWeb, max_errors: -1 }, 400, 'invalid_request', { field: 'max_errors' }],
    [{ ...toWeb, batches: [] }, 400, 'invalid_request', { field: 'batches' }],
    [{ ...toWeb, batches: ['0%'] }, 400, 'invalid_request', { field: 'batches.0' }],
    [{ ...toWeb, batches: [1, '101%'] }, 400, 'invalid_request', { field: 'batches.1' }],
    [{ ...toWeb, batches: [0] }, 400, 'invalid_request', { field: 'batches.0' }],
    [{ ...toWeb, batches: [1], canary: 1 }, 400, 'invalid_request', { field: 'canary' }],
    [{ ...toWeb, gate: 'manual' }, 400, 'invalid_request', { field: 'gate' }],
  ])('%j', async (fields, status, code, told) => {
    const { call } = await startFleet()
    const answer = await call('POST', '/v1/jobs', { body: { command: 'x', ...fields } })
    expect([answer.status, Problem.parse(answer.body)]).toMatchObject([status, { status, code, ...told }])
    expect((await call('GET', '/v1/jobs')).body.jobs).toEqual([])
  })

  test.each([
    ['*', 'unknown_target', { position: 0 }],
    ['@*', 'no_targets', {}],
  ])('%s of an inventory without hosts', async (targets, code, told) => {
    const { call } = await startTestServer({ inventoryYaml: 'hosts:\n' })
    const answer = await call('POST', '/v1/jobs', { body: { command: 'x', targets } })
    expect([answer.status, answer.body]).toMatchObject([422, { code, field: 'targets', ...told }])
    expect((await call('GET', '/v1/jobs')).body.jobs).toEqual([])
  })
})
