/** Secrets in requests, as a server takes them: sealed or refused, never shown, and not to be guessed from Redis. */
import { createHash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { startTestServer } from '../../support/server/server.ts'
import { allOfRedis } from '../../support/stack/secret-stack.ts'

const PASSWORD = 'canary-password-7Wz5'
const REQUEST = { targets: 'web01', command: 'id', sudo: true, sudo_password: PASSWORD }

test('a server without the public key of the workers refuses them, names them and says what to set', async () => {
  const { call } = await startTestServer()
  const { status, body, text } = await call('POST', '/v1/jobs', { body: { ...REQUEST, secret_env: { A: 'aaaa' } } })
  expect(status).toBe(422)
  expect(body).toMatchObject({
    code: 'secrets_not_accepted',
    detail: 'sudo_password, secret_env.A: this server was started without the public key of the workers',
  })
  expect(body.next).toContain('MUSTER_WORKER_PUBLIC_KEY_FILE')
  expect(text).not.toContain(PASSWORD)
  expect((await call('GET', '/v1/jobs')).body).toMatchObject({ jobs: [] })
  expect((await call('POST', '/v1/jobs', { body: { targets: 'web01', command: 'id' } })).status).toBe(202)
})

test('a server whose key file has gone refuses them as well, and makes no job', async () => {
  const { call, dataDir } = await startTestServer({ sealsSecrets: true })
  await rm(join(dataDir, 'worker-keys.pub.json'))
  const { status, body } = await call('POST', '/v1/jobs', { body: REQUEST })
  expect([status, body.code]).toEqual([422, 'secrets_not_accepted'])
  expect(body.detail).toContain('worker-keys.pub.json cannot be used: there is no such file')
  expect((await call('GET', '/v1/jobs')).body).toMatchObject({ jobs: [] })
})

describe('the same idempotency key', () => {
  const submit = async (
    server: Awaited<ReturnType<typeof startTestServer>>,
    fields: object,
    headers: Record<string, string> = {},
  ) => (await server.call('POST', '/v1/jobs', { body: { ...REQUEST, idempotency_key: 'k', ...fields }, headers })).body

  test('a key with the same secrets is the same job, and with another one a conflict', async () => {
    const server = await startTestServer({ sealsSecrets: true })
    const first = await submit(server, {})
    expect(await submit(server, {})).toMatchObject({ job_id: first.job_id })
    expect(await submit(server, { sudo_password: 'another' })).toMatchObject({ code: 'idempotency_conflict' })
    expect(await submit(server, { keep_secrets: true })).toMatchObject({ code: 'idempotency_conflict' })
    expect(await submit(server, { sudo_password: undefined })).toMatchObject({ code: 'idempotency_conflict' })
  })

  test('leaves nothing in Redis by which a password could be guessed', async () => {
    const server = await startTestServer({ sealsSecrets: true })
    const other = await server.makeKey({ owner: 'first' })
    const { job_id } = await submit(server, {})
    expect(job_id).toMatch(/^job_/)
    const [name = ''] = await server.ledger.redis.keys(`${server.ledger.keys.base}:idem:*`)
    const stored = await server.ledger.redis.hget(name, 'digest')
    // Whoever has another key of the same owner, and so all that is in Redis, comes to another digest.
    const conflict = await submit(server, {}, { authorization: other.authorization })
    expect(conflict).toMatchObject({ code: 'idempotency_conflict' })
    await server.ledger.redis.del(name)
    await submit(server, {}, { authorization: other.authorization })
    expect(await server.ledger.redis.hget(name, 'digest')).not.toBe(stored)
  })
})

test('a secret is in no log, no answer and nothing in Redis, also when the request is refused', async () => {
  const server = await startTestServer({ sealsSecrets: true })
  const bodies: Array<[unknown, number]> = [
    [REQUEST, 202],
    [{ ...REQUEST, sudo: false }, 400],
    [{ ...REQUEST, targets: 'nosuch' }, 422],
    [{ ...REQUEST, sudo_password: `${PASSWORD}\nmore` }, 400],
    [{ ...REQUEST, sudo_password: [PASSWORD] }, 400],
    [{ ...REQUEST, secret_env: PASSWORD }, 400],
    [{ ...REQUEST, secret_env: { [`1 ${PASSWORD}`]: 'x' } }, 400],
    [{ ...REQUEST, secret_stdin: PASSWORD.repeat(20_000) }, 400],
    [`{"targets":"web01","sudo_password":"${PASSWORD}",}`, 400],
    [`{"sudo_password":"x" ${PASSWORD}`, 400],
    [PASSWORD, 400],
  ]
  const texts: string[] = []
  for (const [body, status] of bodies) {
    const answer = await server.call('POST', '/v1/jobs', { body })
    expect([answer.status, body]).toEqual([status, body])
    texts.push(answer.text)
  }
  const { body } = await server.call('GET', '/v1/jobs')
  const stored = await allOfRedis(server.ledger.redis, `${server.ledger.keys.base}*`)
  const seen = [...texts, ...server.lines, JSON.stringify(body), stored].join('\n')
  expect(seen).toContain('job submitted')
  for (const form of [PASSWORD, 'canary', Buffer.from(PASSWORD).toString('base64').slice(0, -2)]) {
    expect(seen).not.toContain(form)
  }
  for (const kind of ['hex', 'base64', 'base64url'] as const) {
    expect(seen).not.toContain(createHash('sha256').update(PASSWORD).digest(kind))
  }
})

test('a rerun is refused without the secrets that are gone, and with those that its job has no use for', async () => {
  const { call } = await startTestServer({ sealsSecrets: true })
  const cancelled = async (fields: object) => {
    const { body } = await call('POST', '/v1/jobs', { body: { targets: 'web01', command: 'id', ...fields } })
    await call('POST', `/v1/jobs/${body.job_id}/cancel`)
    return `/v1/jobs/${body.job_id}/rerun`
  }
  const again = async (path: string, fields: object) =>
    (await call('POST', path, { body: { states: ['cancelled'], ...fields } })).body
  const plain = await cancelled({})
  expect(await again(plain, { sudo_password: PASSWORD })).toMatchObject({ field: 'sudo_password' })
  expect(await again(plain, { secret_stdin: 'abcd' })).toMatchObject({ field: 'secret_stdin' })
  expect(await again(plain, { keep_secrets: true })).toMatchObject({ field: 'keep_secrets' })
  expect(await again(plain, {})).toMatchObject({ state: 'queued' })
  const sealed = await cancelled({ secret_stdin: 'abcd' })
  expect(await again(sealed, {})).toMatchObject({ code: 'secrets_not_kept' })
  expect(await again(sealed, { secret_stdin: 'efgh', keep_secrets: true })).toMatchObject({ state: 'queued' })
  const kept = await cancelled({ secret_stdin: 'abcd', secret_env: { A: 'aaaa' }, keep_secrets: true })
  expect(await again(kept, { secret_stdin: 'efgh' })).toMatchObject({
    code: 'secrets_not_kept',
    detail: expect.stringContaining('are given anew, so all of them must be: give secret_env.A'),
  })
  expect(await again(kept, {})).toMatchObject({ state: 'queued' })
})

test('a cancelled job has no sealed text any more, and one that nobody accepted leaves none for long', async () => {
  const { call, ledger } = await startTestServer({ sealsSecrets: true })
  const { body } = await call('POST', '/v1/jobs', { body: REQUEST })
  const secrets = ledger.keys.text(String(body.job_id), 'secrets')
  expect(await ledger.redis.ttl(secrets)).toBe(-1)
  await call('POST', `/v1/jobs/${body.job_id}/cancel`)
  expect(await ledger.redis.exists(secrets)).toBe(0)
  await call('POST', '/v1/jobs', { body: { ...REQUEST, idempotency_key: 'k' } })
  await call('POST', '/v1/jobs', { body: { ...REQUEST, idempotency_key: 'k' } })
  // The second request was sealed, too, and its text was dropped.
  expect(await ledger.redis.keys(`${ledger.keys.base}:job:*:secrets`)).toHaveLength(1)
})
