/** The limits of a key, asked for wherever a caller puts work on hosts or helps it on its way. */
import { JobReport, OPERATIONS, READ_ONLY_SCOPES, type Request } from '@muster/contract'
import { describe, expect, test } from 'vitest'
import { connectMcp, everythingStored } from '../../support/server/every-call.ts'
import { startTestServer } from '../../support/server/server.ts'

type Limits = Omit<Request<'create_key'>, 'owner' | 'scopes'>

/** A server, and a key with these limits beside one of the same owner that has none. */
async function serverWith(limits: Limits) {
  const server = await startTestServer()
  const [limited, free] = [await server.makeKey({ owner: 'ann', limits }), await server.makeKey({ owner: 'ann' })]
  const callAs =
    ({ authorization }: { authorization: string }) =>
    (method: string, path: string, body?: unknown) =>
      server.call(method, path, { headers: { authorization }, ...(body === undefined ? {} : { body }) })
  const [asLimited, asFree] = [callAs(limited), callAs(free)]
  const submitFree = async (body: object) => JobReport.parse((await asFree('POST', '/v1/jobs', body)).body)
  /** That a call is refused with the field, and changes nothing. */
  const refused = async (field: string, path: string, body: object, words = '') => {
    const before = await everythingStored(server)
    const answer = await asLimited('POST', path, body)
    expect([path, answer.status, answer.body.code, answer.body.field]).toEqual([path, 403, 'key_limit', field])
    expect(answer.body.detail).toContain(words)
    expect(await everythingStored(server)).toEqual(before)
  }
  return { ...server, limited, free, asLimited, asFree, submitFree, refused }
}

const JOB = { argv: ['true'], targets: 'web01' }

describe('a key with a limit', () => {
  test.each<[string, Limits, object, string, string]>([
    ['hosts', { hosts: '@web' }, { targets: 'web01,db1' }, 'targets', '1 of the 2 hosts are not among "@web"'],
    ['hosts, that all hosts exceed', { hosts: '@web' }, { targets: '@*' }, 'targets', 'bastion'],
    [
      'hosts, behind what is excluded',
      { hosts: '@web!web01' },
      { targets: 'web[01-02]', exclude: 'web02' },
      'targets',
      'web01',
    ],
    ['hosts of a job', { max_hosts: 2 }, { targets: 'web[01-03]' }, 'targets', '3 hosts'],
    ['forms', { forms: ['argv'] }, { argv: undefined, command: 'true' }, 'command', 'command was asked for'],
    ['forms', { forms: ['argv', 'command'] }, { argv: undefined, script: 'true' }, 'script', 'allows argv, command'],
    ['forms, by a health check', { forms: ['argv'] }, { health_check: { command: 'true' } }, 'health_check', 'command'],
    ['no sudo', { no_sudo: true }, { sudo: true }, 'sudo', 'allows no sudo'],
    ['no sudo, by a user', { no_sudo: true }, { run_as: 'app' }, 'run_as', 'sudo to app'],
    ['users of sudo', { sudo_users: ['app', 'db'] }, { sudo: true }, 'sudo', 'sudo to root was asked for'],
    ['users of sudo', { sudo_users: ['app', 'db'] }, { run_as: 'root' }, 'run_as', 'allows app, db'],
    ['concurrency', { max_concurrency: 5 }, { concurrency: 6 }, 'concurrency', '6 at once was asked for'],
    [
      'concurrency, by a percentage',
      { max_concurrency: 5 },
      { targets: '@web', concurrency: '50%' },
      'concurrency',
      '6 at once',
    ],
    ['exec timeout', { max_exec_timeout_s: 60 }, { exec_timeout_s: 61 }, 'exec_timeout_s', '61 s'],
    [
      'exec timeout, as long as the default',
      { max_exec_timeout_s: 60 },
      { exec_timeout_s: 300 },
      'exec_timeout_s',
      '300 s',
    ],
    [
      'exec timeout, by a health check',
      { max_exec_timeout_s: 20 },
      { health_check: { command: 'x', timeout_s: 30 } },
      'health_check',
      '30 s',
    ],
    ['output kept', { max_output_bytes: 2_048 }, { output_limit_bytes: 2_049 }, 'output_limit_bytes', '2049 bytes'],
    ['no force', { no_force: true }, { force: true }, 'force', 'allows false'],
    ['no read_only claims', { no_read_only_claims: true }, { read_only: true }, 'read_only', 'one'],
    ['no read_only claims, by host_limit', { no_read_only_claims: true }, { host_limit: 2 }, 'host_limit', 'one'],
  ])(
    '(%s: %j) is refused %j, naming the field, what was asked for and what is allowed',
    async (_what, limits, more, field, words) => {
      const { refused, asFree, limited, url } = await serverWith(limits)
      await refused(field, '/v1/jobs', { ...JOB, ...more }, words)
      expect((await asFree('POST', '/v1/jobs', { ...JOB, ...more })).status).toBe(202)
      const client = await connectMcp({ url }, limited.authorization)
      const given = Object.entries({ ...JOB, ...more, wait_s: 0 }).filter(
        ([name, value]) => value !== undefined && name !== 'host_limit',
      )
      if (field === 'host_limit') return
      const told = await client.callTool({ name: 'run_command', arguments: Object.fromEntries(given) })
      expect(told).toMatchObject({ isError: true, content: [{ text: expect.stringContaining('key_limit') }] })
    },
  )

  test('may do what is within it, and gets its limits where it asks for nothing', async () => {
    const { asLimited } = await serverWith({
      hosts: '@web,db1',
      forms: ['argv'],
      sudo_users: ['app'],
      max_concurrency: 5,
      max_hosts: 12,
      max_exec_timeout_s: 60,
      max_output_bytes: 2_048,
      no_force: true,
      no_read_only_claims: true,
    })
    const { status, body } = await asLimited('POST', '/v1/jobs', { argv: ['true'], targets: '@web', run_as: 'app' })
    expect([status, body]).toMatchObject([202, { concurrency: 5, exec_timeout_s: 60, total: 12 }])
    const given = { ...JOB, concurrency: 2, exec_timeout_s: 7, output_limit_bytes: 1_024 }
    expect((await asLimited('POST', '/v1/jobs', given)).body).toMatchObject({ concurrency: 2, exec_timeout_s: 7 })
  })

  test('of hosts names no host to one who may not see the inventory', async () => {
    const { makeKey, call } = await startTestServer()
    const { authorization } = await makeKey({ owner: 'ann', scopes: ['jobs:run'], limits: { hosts: 'web01' } })
    const { status, text } = await call('POST', '/v1/jobs', {
      headers: { authorization },
      body: { ...JOB, targets: '@*' },
    })
    expect([status, text]).toEqual([403, expect.stringContaining('13 of the 14 hosts')])
    expect(text).not.toMatch(/db1|bastion|web02/)
  })

  test('of hosts that is not in the inventory any more allows nothing', async () => {
    const { ledger, limited, refused } = await serverWith({ hosts: '@web' })
    const record = JSON.parse((await ledger.redis.hget(ledger.keys.apiKeys, limited.keyId)) ?? '')
    record.limits.hosts = ['@gone']
    await ledger.redis.hset(ledger.keys.apiKeys, limited.keyId, JSON.stringify(record))
    await expect
      .poll(
        async () =>
          refused('targets', '/v1/jobs', JOB, '"@gone"').then(
            () => true,
            () => false,
          ),
        { timeout: 5_000 },
      )
      .toBe(true)
  })

  test('of hosts that names none of the inventory is refused when the key is made', async () => {
    const { call, ledger } = await startTestServer()
    for (const [hosts, code] of [
      ['@wbe', 'unknown_target'],
      ['web[', 'invalid_target'],
    ]) {
      const answer = await call('POST', '/v1/keys', { body: { scopes: ['jobs:run'], hosts } })
      expect([answer.status, answer.body.code, answer.body.field]).toEqual([422, code, 'hosts'])
    }
    expect(await ledger.redis.hlen(ledger.keys.apiKeys)).toBe(1)
  })

  test('of jobs within an hour is told when the next one may come, over all ways to make one', async () => {
    const { asLimited, submitFree, ledger } = await serverWith({ max_jobs_per_hour: 2 })
    const { job_id: jobId } = await submitFree({ ...JOB, targets: 'web02' })
    await asLimited('POST', `/v1/jobs/${jobId}/cancel`, {})
    expect((await asLimited('POST', '/v1/jobs', JOB)).status).toBe(202)
    expect((await asLimited('POST', '/v1/hosts/web01/test', { wait_s: 0 })).status).toBe(200)
    const before = await ledger.redis.zcard(ledger.keys.jobs)
    const ways = [
      await asLimited('POST', '/v1/jobs', JOB),
      await asLimited('POST', '/v1/hosts/web01/test', { wait_s: 0 }),
      await asLimited('POST', `/v1/jobs/${jobId}/rerun`, { states: ['cancelled'] }),
    ]
    for (const { status, headers, body } of ways) {
      expect([status, body.code, Number(headers.get('retry-after')) > 3_500]).toEqual([429, 'rate_limited', true])
    }
    expect(await ledger.redis.zcard(ledger.keys.jobs)).toBe(before)
  })
})

describe('the job of another key', () => {
  const LIMITS: Limits = { hosts: '@web', forms: ['argv'], no_sudo: true, max_exec_timeout_s: 60, max_concurrency: 3 }
  const FITS = { ...JOB, targets: '@web', exec_timeout_s: 30 }

  test.each<[string, object, string]>([
    ['hosts', { ...FITS, targets: 'web01,db1' }, 'targets'],
    ['form', { ...FITS, argv: undefined, command: 'true' }, 'command'],
    ['sudo', { ...FITS, sudo: true }, 'sudo'],
    ['exec timeout', { ...FITS, exec_timeout_s: 90 }, 'exec_timeout_s'],
  ])(
    'that has other %s than the key may have is neither run again nor helped on its way',
    async (_what, job, field) => {
      const { submitFree, refused, asLimited } = await serverWith(LIMITS)
      const { job_id: jobId } = await submitFree(job)
      await refused(field, `/v1/jobs/${jobId}/extend`, { exec_timeout_s: 50 })
      await refused(field, `/v1/jobs/${jobId}/resume`, {})
      await refused(field, `/v1/jobs/${jobId}/concurrency`, { concurrency: 1 })
      await asLimited('POST', `/v1/jobs/${jobId}/cancel`, {})
      await refused(field, `/v1/jobs/${jobId}/rerun`, { states: ['cancelled'] })
    },
  )

  test('that fits is, at the pace and with the times that the key may have', async () => {
    const { submitFree, refused, asLimited } = await serverWith(LIMITS)
    const { job_id: jobId } = await submitFree({ ...FITS, concurrency: 10 })
    await refused('exec_timeout_s', `/v1/jobs/${jobId}/extend`, { exec_timeout_s: 61 })
    expect((await asLimited('POST', `/v1/jobs/${jobId}/extend`, { exec_timeout_s: 60 })).status).toBe(200)
    await refused('concurrency', `/v1/jobs/${jobId}/concurrency`, { concurrency: '50%' })
    expect((await asLimited('POST', `/v1/jobs/${jobId}/concurrency`, { concurrency: 3 })).status).toBe(200)
    await asLimited('POST', `/v1/jobs/${jobId}/cancel`, {})
    const again = await asLimited('POST', `/v1/jobs/${jobId}/rerun`, { states: ['cancelled'] })
    expect([again.status, again.body]).toMatchObject([202, { concurrency: 3, total: 12 }])
  })
})

describe('a look', () => {
  test('is at no other hosts than the key may touch', async () => {
    const { refused, limited, url } = await serverWith({ hosts: '@web' })
    await refused('targets', '/v1/hosts/db1/test', {}, 'db1')
    const client = await connectMcp({ url }, limited.authorization)
    for (const name of ['test_connection', 'list_directory', 'check_disk_usage']) {
      const told = await client.callTool({ name, arguments: { targets: 'db1', wait_s: 0 } })
      expect([name, told.isError, JSON.stringify(told.content)]).toEqual([
        name,
        true,
        expect.stringContaining('key_limit'),
      ])
    }
  })

  test('is made to fit the numbers of the key, and claims that it only reads, as it does', async () => {
    const { asLimited, ledger } = await serverWith({
      forms: ['script'],
      max_exec_timeout_s: 5,
      max_concurrency: 2,
      max_output_bytes: 1_024,
      no_force: true,
      no_read_only_claims: true,
    })
    const { status, body } = await asLimited('POST', '/v1/hosts/web01/test', { wait_s: 0 })
    expect(status).toBe(200)
    const spec = JSON.parse((await ledger.redis.hget(ledger.keys.job(String(body.job_id)), 'spec')) ?? '')
    expect(spec).toMatchObject({ exec_timeout_s: 5, concurrency: 2, output_limit_bytes: 1_024, read_only: true })
  })

  test('goes past no breaker with a key that may not force that', async () => {
    for (const [limits, force] of [
      [{ no_force: true, max_exec_timeout_s: 5 }, null],
      [{ max_exec_timeout_s: 5 }, 'connect'],
    ] as const) {
      const { asLimited, ledger } = await serverWith({ ...limits, no_read_only_claims: true, max_concurrency: 2 })
      const { status, body } = await asLimited('POST', '/v1/hosts/web01/test', { wait_s: 0 })
      expect(status).toBe(200)
      const stored = await ledger.redis.hgetall(ledger.keys.job(String(body.job_id)))
      expect([stored.force ?? null, stored.exec_timeout_ms, stored.concurrency]).toEqual([force, '5000', '2'])
    }
  })
})

describe('muster keys create with read_only', () => {
  test('makes a key that reads and looks, and runs, changes and cancels nothing', async () => {
    const { call, url } = await startTestServer()
    const made = OPERATIONS.create_key.output.parse(
      (await call('POST', '/v1/keys', { body: { read_only: true } })).body,
    )
    expect(made.record).toMatchObject({ owner: 'first', scopes: [...READ_ONLY_SCOPES] })
    const { job_id: jobId } = JobReport.parse((await call('POST', '/v1/jobs', { body: JOB })).body)
    const headers = { authorization: `Bearer ${made.key}` }
    const statuses = async (calls: Array<[string, string, object?]>) =>
      await Promise.all(
        calls.map(
          async ([method, path, body]) => (await call(method, path, { headers, ...(body && { body }) })).status,
        ),
      )
    expect(
      await statuses([
        ['GET', `/v1/jobs/${jobId}`],
        ['GET', `/v1/jobs/${jobId}/output`],
        ['GET', '/v1/hosts'],
        ['POST', '/v1/hosts/web02/test', { wait_s: 0 }],
      ]),
    ).toEqual([200, 200, 200, 200])
    expect(
      await statuses([
        ['POST', '/v1/jobs', JOB],
        ['POST', `/v1/jobs/${jobId}/cancel`, {}],
        ['POST', `/v1/jobs/${jobId}/rerun`, {}],
        ['GET', '/v1/keys'],
        ['GET', '/board'],
      ]),
    ).toEqual([403, 403, 403, 403, 403])
    const { tools } = await (await connectMcp({ url }, headers.authorization)).listTools()
    expect(tools.every(({ annotations }) => annotations?.readOnlyHint)).toBe(true)
    const wider = await call('POST', '/v1/keys', { body: { read_only: true, scopes: ['jobs:run'] } })
    expect([wider.status, wider.body.field]).toEqual([400, 'scopes'])
  })
})
