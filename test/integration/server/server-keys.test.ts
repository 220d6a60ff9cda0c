/** API keys over HTTP: made, listed and revoked, told of nowhere else; and how often each may call. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { ALL_SCOPES, OPERATIONS } from '@muster/contract'
import { describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { connectMcp, everythingStored } from '../../support/server/every-call.ts'
import { startTestServer } from '../../support/server/server.ts'

const NewKey = OPERATIONS.create_key.output
const SUBMIT = { command: 'true', targets: '@web' }

describe('a key made over HTTP', () => {
  test('is for a program of another owner, which can come in with it until it is revoked', async () => {
    const { call } = await startTestServer()
    const body = { owner: 'ci', scopes: ['jobs:run', 'jobs:read'] }
    const made = await call('POST', '/v1/keys', { body })
    const { key, record } = NewKey.parse(made.body)
    expect([made.status, record]).toEqual([200, expect.objectContaining({ ...body, created_by: 'first' })])
    const headers = { authorization: `Bearer ${key}` }
    expect((await call('POST', '/v1/jobs', { headers, body: SUBMIT })).body).toMatchObject({
      owner: 'ci',
      submitted_by: record.key_id,
    })
    const { keys } = OPERATIONS.list_keys.output.parse((await call('GET', '/v1/keys')).body)
    expect(keys.map(({ key_id: keyId }) => keyId)).toEqual([record.key_id, 'first'])

    const revoked = await call('POST', `/v1/keys/${record.key_id}/revoke`)
    expect([revoked.status, revoked.body]).toEqual([
      200,
      { ...record, revoked_at: expect.stringMatching(/Z$/), children_revoked: [], jobs_cancelled: 0 },
    ])
    await expect.poll(async () => (await call('GET', '/v1/jobs', { headers })).status, { timeout: 10_000 }).toBe(401)
    const refused = await call('GET', '/v1/jobs', { headers })
    expect(refused.body).toMatchObject({
      code: 'unauthorized',
      detail: `the API key ${record.key_id} was revoked at ${revoked.body.revoked_at}`,
    })
    expect(refused.headers.get('www-authenticate')).toMatch(/Bearer realm="Muster", error="invalid_token"$/)
    // Who has another text under the same ID is told nothing.
    const wrong = await call('GET', '/v1/jobs', { headers: { authorization: `Bearer ${key.slice(0, -2)}00` } })
    expect(wrong.body.detail).toBe('the API key is unknown')
  })

  test('that is revoked while it follows a job is cut off, without a word that the job has ended', async () => {
    const { call, makeKey, url } = await startTestServer()
    const { authorization, keyId } = await makeKey({ owner: 'first' })
    const { body } = await call('POST', '/v1/jobs', { body: SUBMIT })
    const response = await fetch(`${url}/v1/jobs/${body.job_id}/events`, {
      headers: { authorization },
      signal: AbortSignal.timeout(20_000),
    })
    expect(response.status).toBe(200)
    const rest = response.text()
    await call('POST', `/v1/keys/${keyId}/revoke`)
    const text = await rest
    expect(text).toContain('event: job')
    expect(text).not.toContain('event: end')
  }, 30_000)

  test('is in its answer and nowhere else: no log, no Redis, no board, no later answer', async () => {
    const server = await startTestServer()
    const { call, lines } = server
    const { key } = NewKey.parse((await call('POST', '/v1/keys', { body: { owner: 'ci', scopes: ['jobs:run'] } })).body)
    const headers = { authorization: `Bearer ${key}` }
    await call('POST', '/v1/jobs', { headers, body: SUBMIT })
    await call('GET', `/v1/nowhere?key=${key}`, { headers })
    const secret = key.slice(key.indexOf('_', 4) + 1)
    const board = await call('GET', '/board/api/queues?activeQueue=tickets&status=waiting')
    const list = await call('GET', '/v1/keys')
    const stored = JSON.stringify(await everythingStored(server))
    expect(lines.join('\n')).toContain('API key made')
    for (const text of [lines.join('\n'), stored, board.text, list.text]) expect(text).not.toContain(secret)
  })

  test('is refused with what is wrong in it', async () => {
    const { call, ledger } = await startTestServer()
    const wrong = [
      [{ owner: 'a b', scopes: ['jobs:read'] }, 'owner: an owner has up to 64 letters'],
      [{ owner: 'ann', scopes: ['jobs:write'] }, 'expected one of "jobs:read"'],
      [{ owner: 'ann', scopes: [] }, 'scopes: Too small'],
      [{ owner: 'ann', scopes: ['jobs:read'], expires_in_s: 0 }, 'expires_in_s: Too small'],
      [{ owner: 'ann' }, 'scopes: is missing'],
    ] as const
    for (const [body, detail] of wrong) {
      const answer = await call('POST', '/v1/keys', { body })
      expect([answer.status, answer.body.detail]).toEqual([400, expect.stringContaining(detail)])
    }
    expect(await ledger.redis.hlen(ledger.keys.apiKeys)).toBe(1)
  })

  test('cannot be revoked when it is the last that can manage all keys, or when there is none', async () => {
    const { call } = await startTestServer()
    const last = await call('POST', '/v1/keys/first/revoke')
    expect([last.status, last.body.code, last.body.next]).toEqual([
      409,
      'last_key',
      expect.stringContaining('rotate it'),
    ])
    const none = await call('POST', '/v1/keys/nosuchkey/revoke')
    expect([none.status, none.body.detail]).toEqual([404, 'there is no API key nosuchkey'])
    expect((await call('GET', '/v1/jobs')).status).toBe(200)
  })
})

describe('a request that is refused before its key is looked at', () => {
  test.each([
    ['a Host that is none of ours', 'GET /v1/jobs HTTP/1.1\r\nHost: evil.example', 403, [{ status: 403, key_id: '' }]],
    ['no key', 'GET /nowhere HTTP/1.1\r\nHost: localhost', 401, [{ status: 401, key_id: '' }]],
    // Fastify answers it by itself, past all that every other request goes through.
    ['a path that cannot be read', 'GET /v1/jobs/%zz HTTP/1.1\r\nHost: localhost', 400, []],
  ])('because of %s is answered, and is nobody’s', async (_what, head, status, logged) => {
    const { port, lines } = await startTestServer()
    const socket = connect(port, '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    let answer = ''
    socket.on('data', (bytes) => {
      answer += bytes.toString()
    })
    socket.write(`${head}\r\nConnection: close\r\n\r\n`)
    await once(socket, 'close', { signal: AbortSignal.timeout(10_000) })
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    const told = lines.map((line) => z.looseObject({ msg: z.string() }).parse(JSON.parse(line)))
    expect(told.filter(({ level }) => Number(level) >= 50)).toEqual([])
    expect(told.filter(({ msg }) => msg === 'request answered')).toMatchObject(logged)
  })
})

describe('a key that calls too often', () => {
  test('is told how long to wait, over REST in Retry-After too; others are not held up', async () => {
    const { call, makeKey } = await startTestServer({ limits: { callsPerMin: 3, jobsPerMin: 0 } })
    const { authorization, keyId } = await makeKey({ owner: 'first' })
    const list = () => call('GET', '/v1/hosts', { headers: { authorization } })
    expect((await Promise.all([list(), list(), list()])).map(({ status }) => status)).toEqual([200, 200, 200])
    const refused = await list()
    expect([refused.status, refused.body.code]).toEqual([429, 'rate_limited'])
    const waitS = Number(refused.headers.get('retry-after'))
    expect(waitS).toBeGreaterThanOrEqual(1)
    expect(waitS).toBeLessThanOrEqual(60)
    expect(refused.body).toMatchObject({
      retry_after_s: waitS,
      detail: `the API key ${keyId} has made its 3 calls of this minute; the next one in ${waitS} s`,
    })
    expect((await call('GET', '/v1/hosts')).status).toBe(200)
  })

  test('has its calls counted with those of the keys that it has made, whatever makes more of them', async () => {
    const { call, makeKey } = await startTestServer({ limits: { callsPerMin: 4, jobsPerMin: 1 } })
    const team = await makeKey({ owner: 'ann', scopes: ['keys:manage', 'jobs:run', 'jobs:read'] })
    const made = async (authorization: string) => {
      const body = { scopes: ['keys:manage', 'jobs:run', 'jobs:read'] }
      const { key, record } = NewKey.parse((await call('POST', '/v1/keys', { headers: { authorization }, body })).body)
      return { authorization: `Bearer ${key}`, keyId: record.key_id }
    }
    const child = await made(team.authorization)
    const grandchild = await made(child.authorization)
    const submit = (authorization: string) => call('POST', '/v1/jobs', { headers: { authorization }, body: SUBMIT })
    expect((await submit(grandchild.authorization)).status).toBe(202)
    const refused = await submit(child.authorization)
    expect([refused.status, refused.body.detail]).toEqual([
      429,
      expect.stringMatching(
        `^the API key ${team.keyId}, from which ${child.keyId} comes, with the keys below it has made its 1 calls that`,
      ),
    ])
    for (const { authorization } of [team, child, grandchild]) {
      expect((await call('GET', '/v1/jobs', { headers: { authorization } })).body.code).toBe('rate_limited')
    }
    // Who makes keys for others, with jobs:all, does not take their calls from them.
    const other = await makeKey({ owner: 'bob', scopes: ['jobs:read'] })
    expect((await call('GET', '/v1/jobs', { headers: { authorization: other.authorization } })).status).toBe(200)
  })

  test('on several servers has one limit for all of them, whose minute is by the clock of Redis', async () => {
    const together = { prefix: `test-${crypto.randomUUID()}`, limits: { callsPerMin: 3, jobsPerMin: 1 } }
    const first = await startTestServer(together)
    const second = await startTestServer({ ...together, dataDir: first.dataDir })
    const submit = { body: { ...SUBMIT } }
    const statuses = [
      (await first.call('POST', '/v1/jobs', submit)).status,
      (await second.call('POST', '/v1/jobs', submit)).status,
      (await second.call('GET', '/v1/jobs')).status,
      (await first.call('GET', '/v1/jobs')).status,
      (await second.call('GET', '/v1/jobs')).status,
    ]
    expect(statuses).toEqual([202, 429, 200, 429, 429])
    // As if the clock of Redis had been set back since: a third server does not let its key wait for an hour.
    const { redis, keys } = first.ledger
    for (const kind of ['calls', 'job-calls'] as const) await redis.pexpire(keys.calls('first', kind), 3_600_000)
    const third = await startTestServer({ ...together, dataDir: first.dataDir })
    expect((await third.call('GET', '/v1/jobs')).body.retry_after_s).toBe(60)
    expect(await redis.pttl(keys.calls('first', 'calls'))).toBeLessThanOrEqual(60_000)
  })

  test('is refused without asking Redis again, and may call when the minute is over', async () => {
    const server = await startTestServer({ limits: { callsPerMin: 1, jobsPerMin: 0 } })
    const { redis, keys } = server.ledger
    const list = async () => (await server.call('GET', '/v1/hosts')).status
    expect(await list()).toBe(200)
    await redis.pexpire(keys.calls('first', 'calls'), 3_000)
    expect(await list()).toBe(429)
    await redis.del(keys.calls('first', 'calls'))
    expect(await list()).toBe(429)
    expect(await redis.exists(keys.calls('first', 'calls'))).toBe(0)
    await expect.poll(list, { timeout: 10_000 }).toBe(200)
  })

  test('has counted what was refused or wrong', async () => {
    const { call, makeKey } = await startTestServer({ limits: { callsPerMin: 2, jobsPerMin: 0 } })
    const { authorization: few } = await makeKey({ owner: 'first', scopes: ['jobs:read'] })
    const ask = (path: string) => call('GET', path, { headers: { authorization: few } })
    const statuses = [await ask('/v1/hosts'), await ask('/v1/jobs?bogus=1'), await ask('/v1/jobs')]
    expect(statuses.map(({ status }) => status)).toEqual([403, 400, 429])
  })

  test('with jobs is refused those alone, and nothing is enqueued', async () => {
    const server = await startTestServer({ limits: { callsPerMin: 0, jobsPerMin: 2 } })
    const { call, ledger } = server
    const submit = () => call('POST', '/v1/jobs', { body: SUBMIT })
    const first = await submit()
    await call('POST', `/v1/jobs/${first.body.job_id}/cancel`)
    expect((await submit()).status).toBe(202)
    const before = await everythingStored(server)
    const makers = [
      await submit(),
      await call('POST', `/v1/jobs/${first.body.job_id}/rerun`, { body: { states: ['cancelled'] } }),
      await call('POST', '/v1/hosts/web01/test', { body: { wait_s: 0 } }),
    ]
    for (const { status, body } of makers) {
      expect([status, body.code, body.detail]).toEqual([
        429,
        'rate_limited',
        expect.stringContaining('2 calls that make'),
      ])
    }
    expect(await everythingStored(server)).toEqual(before)
    expect(await ledger.tickets.getWaitingCount()).toBe(24)
    expect((await call('GET', '/v1/jobs')).status).toBe(200)
    expect((await call('POST', `/v1/jobs/${first.body.job_id}/cancel`)).status).toBe(202)
  })

  test('over MCP is answered an error of the tool, with the time to wait in its text', async () => {
    const server = await startTestServer({ limits: { callsPerMin: 1, jobsPerMin: 0 } })
    const client = await connectMcp(server, `Bearer ${server.key}`)
    const use = () => client.callTool({ name: 'list_hosts', arguments: {} })
    expect((await use()).isError).not.toBe(true)
    const refused = await use()
    expect(refused).toMatchObject({
      isError: true,
      content: [{ text: expect.stringMatching(/^rate_limited: .*the next one in \d+ s/) }],
    })
  })

  test('by a batch of JSON-RPC has each call of it counted', async () => {
    const server = await startTestServer({ limits: { callsPerMin: 3, jobsPerMin: 0 } })
    const calls = Array.from({ length: 5 }, (_, id) => ({
      jsonrpc: '2.0',
      id,
      method: 'tools/call',
      params: { name: 'list_hosts', arguments: {} },
    }))
    const response = await fetch(`${server.url}/mcp`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${server.key}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': '2025-03-26',
      },
      body: JSON.stringify(calls),
      signal: AbortSignal.timeout(20_000),
    })
    const text = await response.text()
    expect(text.match(/rate_limited/g)).toHaveLength(2)
  })
})

test('the first key has all scopes there are, and not only those of the day it was made', async () => {
  const { call, ledger } = await startTestServer()
  const { keys } = OPERATIONS.list_keys.output.parse((await call('GET', '/v1/keys')).body)
  expect(keys).toMatchObject([{ key_id: 'first', owner: 'first', scopes: [...ALL_SCOPES], created_by: null }])
  expect(await ledger.redis.hget(ledger.keys.apiKeys, 'first')).not.toContain('scopes')
})
