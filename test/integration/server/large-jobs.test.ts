/** Scripts and stdin of up to 16 MiB: what gets in over REST, where it lies, and what is read of it by whom. */
import { once } from 'node:events'
import { request } from 'node:http'
import { JobReport, Problem } from '@muster/contract'
import { readSpec } from '@muster/ledger'
import { describe, expect, test } from 'vitest'
import { ownRedis } from '../../support/runtime/own-redis.ts'
import { startTestServer } from '../../support/server/server.ts'

const LIMIT_BYTES = 16 * 1024 * 1024
const MIB = 1024 * 1024
type Server = Awaited<ReturnType<typeof startTestServer>>

/** A large job, and the names of all that is stored of it. */
const LARGE = {
  targets: 'web01',
  script: `echo ${'x'.repeat(MIB)}`,
  script_args: ['--dry-run', 'a b'],
  stdin: 'é'.repeat(MIB),
}
const stored = ({ ledger }: Server) => ledger.redis.keys(`${ledger.keys.base}:job:*`)

describe('a script and a stdin of 16 MiB each', () => {
  test('get in however they are escaped, and are there byte for byte', async () => {
    const server = await startTestServer()
    // Of all characters these become the longest JSON: six bytes each.
    const [script, stdin] = ['\u0001'.repeat(LIMIT_BYTES), '\u0000'.repeat(LIMIT_BYTES)]
    const { status, body } = await server.call('POST', '/v1/jobs', { body: { targets: 'web01', script, stdin } })
    expect(status).toBe(202)
    const read = await readSpec(server.ledger, JobReport.parse(body).job_id)
    expect([read?.spec.script === script, read?.spec.stdin === stdin]).toEqual([true, true])
  })

  test.each([
    ['script', { script: 'ä'.repeat(LIMIT_BYTES / 2 + 1) }],
    ['stdin', { command: 'cat', stdin: 'ä'.repeat(LIMIT_BYTES / 2 + 1) }],
  ])('and one byte more of %s are refused by the name of the field and the limit', async (field, fields) => {
    const { call } = await startTestServer()
    const { status, body } = await call('POST', '/v1/jobs', { body: { targets: 'web01', ...fields } })
    expect([status, Problem.parse(body)]).toMatchObject([
      400,
      { field, detail: `${field}: longer than ${LIMIT_BYTES} bytes; received a text of ${LIMIT_BYTES + 2} bytes` },
    ])
  })
})

describe('a large job', () => {
  test('is reported in every way without its texts being read: they lie beside it', async () => {
    const server = await startTestServer()
    const { call, ledger } = server
    const { job_id: jobId } = JobReport.parse((await call('POST', '/v1/jobs', { body: LARGE })).body)
    const report = JobReport.parse((await call('GET', `/v1/jobs/${jobId}`)).body)
    expect([report.command?.length, report.command?.slice(0, 8), report.arguments]).toEqual([
      2_001,
      'echo xxx',
      "--dry-run 'a b'",
    ])
    const texts = [ledger.keys.text(jobId, 'script'), ledger.keys.text(jobId, 'stdin')]
    expect(await Promise.all(texts.map((key) => ledger.redis.ttl(key)))).toEqual([-1, -1])
    const hash = await ledger.redis.hgetall(ledger.keys.job(jobId))
    expect(Object.values(hash).join('').length).toBeLessThan(4_000)
    // What answers without them cannot have read them.
    expect(await ledger.redis.del(texts)).toBe(2)
    expect((await call('GET', `/v1/jobs/${jobId}`)).body).toEqual({ ...report, command: '' })
    expect((await call('GET', '/v1/jobs')).body).toMatchObject({ jobs: [{ job_id: jobId, title: 'script' }] })
    expect((await call('GET', `/v1/jobs/${jobId}/runs`)).status).toBe(200)
    expect((await call('POST', `/v1/jobs/${jobId}/cancel`)).body).toMatchObject({ state: 'cancelled' })
    // And a worker that misses them runs nothing in their place.
    await expect(readSpec(ledger, jobId)).rejects.toThrow(/Redis has 0 of .* bytes of the script of job/)
  })

  test('is run again with the same texts and arguments', async () => {
    const { call, ledger } = await startTestServer()
    const { body } = await call('POST', '/v1/jobs', { body: LARGE })
    await call('POST', `/v1/jobs/${body.job_id}/cancel`)
    const again = await call('POST', `/v1/jobs/${body.job_id}/rerun`, { body: { states: ['cancelled'] } })
    const read = await readSpec(ledger, JobReport.parse(again.body).job_id)
    const { targets: _, ...fields } = LARGE
    expect([again.status, read?.spec]).toMatchObject([202, fields])
  })

  test('is one job per idempotency key, another with any byte changed, and leaves nothing when refused', async () => {
    const server = await startTestServer()
    const send = (fields: object) =>
      server.call('POST', '/v1/jobs', { body: { ...LARGE, ...fields, idempotency_key: 'once' } })
    const first = await send({})
    const before = await stored(server)
    expect(await send({})).toMatchObject({ status: 202, body: { job_id: first.body.job_id } })
    for (const other of [
      { script: LARGE.script.replace(/x$/, 'y') },
      { stdin: LARGE.stdin.replace(/é$/, 'e') },
      { stdin: undefined },
      { script: LARGE.stdin, stdin: LARGE.script },
      { script_args: ['--dry-run', 'a', 'b'] },
      { script_args: undefined },
    ]) {
      expect(await send(other)).toMatchObject({ status: 409, body: { job_id: first.body.job_id } })
    }
    expect((await stored(server)).toSorted()).toEqual(before.toSorted())
  })

  test('a large job of which Redis forgot a part before it was whole is not accepted', async () => {
    const { call, ledger } = await startTestServer({ redisUrl: (await ownRedis()).url })
    const watcher = ledger.connectBlocking()
    await watcher.config('SET', 'notify-keyspace-events', 'E$')
    // The stdin comes after the script, in sixteen steps: at its first one the script is forgotten.
    watcher.on('message', (_channel, key: string) => {
      if (key.endsWith(':stdin')) void ledger.redis.del(key.replace(/stdin$/, 'script'))
    })
    await watcher.subscribe('__keyevent@0__:setrange')
    const body = { ...LARGE, stdin: 'x'.repeat(LIMIT_BYTES) }
    expect(await call('POST', '/v1/jobs', { body })).toMatchObject({
      status: 503,
      body: { code: 'ledger_unavailable' },
    })
    watcher.disconnect()
    expect((await call('GET', '/v1/jobs')).body).toMatchObject({ jobs: [] })
  })
})

describe('a body', () => {
  /** A request whose body does not come, or only so far. */
  const begin = async ({ port, key }: Server, bytes: number, headers: Record<string, string> = {}) => {
    const sending = request({
      port,
      method: 'POST',
      path: '/v1/jobs',
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': 'application/json',
        'content-length': bytes,
        ...headers,
      },
    })
    // One test hangs up before there is an answer.
    sending.on('error', () => {})
    const answered = once(sending, 'response').then(async ([response]) => {
      const text = Buffer.concat(await response.toArray()).toString()
      return { status: response.statusCode, retryAfter: response.headers['retry-after'], body: JSON.parse(text) }
    })
    answered.catch(() => {})
    await new Promise<void>((resolve) => sending.write('{', () => resolve()))
    return { sending, answered }
  }

  test('longer than any that a submit may need is refused by its length, and what may be sent is shown', async () => {
    const server = await startTestServer()
    const { answered } = await begin(server, 300 * MIB)
    expect(await answered).toMatchObject({
      status: 413,
      body: { code: 'too_large', detail: expect.stringMatching(/longer than the \d+ bytes that this route takes/) },
    })
  })

  test.each(['/v1/jobs/JOB/cancel', '/v1/jobs/JOB/rerun', '/v1/targets/resolve', '/v1/hosts/web01/test', '/v1/keys'])(
    'of more than 1 MiB is refused on %s',
    async (path) => {
      const { call } = await startTestServer()
      const answer = await call('POST', path.replace('JOB', `job_${'a'.repeat(26)}`), { body: { x: 'x'.repeat(MIB) } })
      expect(answer).toMatchObject({ status: 413, body: { detail: expect.stringContaining(`the ${MIB} bytes`) } })
    },
  )

  test('a large body waits for others to be read, and is told so before it is sent; small ones pass', async () => {
    const server = await startTestServer()
    const first = await begin(server, 100 * MIB)
    await expect
      .poll(async () => (await begin(server, 40 * MIB)).answered, { timeout: 20_000 })
      .toMatchObject({ status: 503, retryAfter: '2', body: { code: 'busy' } })
    expect((await server.call('POST', '/v1/jobs', { body: { targets: 'web01', command: 'x' } })).status).toBe(202)
    first.sending.destroy()
    await expect
      .poll(async () => (await server.call('POST', '/v1/jobs', { body: LARGE })).status, { timeout: 20_000 })
      .toBe(202)
  })

  test('that is large is not read for a key that may not submit', async () => {
    const server = await startTestServer()
    const { authorization } = await server.makeKey({ owner: 'reader', scopes: ['jobs:read'] })
    const { answered } = await begin(server, 20 * MIB, { authorization })
    expect(await answered).toMatchObject({ status: 403, body: { code: 'insufficient_scope' } })
  })

  test('a body that is no UTF-8 is refused and not mended: the command would be another', async () => {
    const server = await startTestServer()
    const body = Buffer.from('{"targets": "web01", "command": "rm caf\xe9"}', 'latin1')
    const response = await fetch(`${server.url}/v1/jobs`, {
      method: 'POST',
      headers: { authorization: `Bearer ${server.key}`, 'content-type': 'application/json' },
      body,
    })
    expect([response.status, await response.json()]).toMatchObject([
      400,
      { code: 'invalid_request', detail: 'the body is not UTF-8 at byte 39' },
    ])
  })

  test('with half of a character in it is refused by the name of the field', async () => {
    const { call } = await startTestServer()
    const body = '{"targets": "web01", "command": "rm \\ud83d"}'
    expect(await call('POST', '/v1/jobs', { body })).toMatchObject({ status: 400, body: { field: 'command' } })
  })
})
