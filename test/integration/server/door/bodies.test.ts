/** What the server takes as the body of a request, and the words in which it refuses everything else. */
import { describe, expect, test } from 'vitest'
import { rawRequest, rawText, readAnswer } from '../../../support/server/raw-request.ts'
import { startTestServer } from '../../../support/server/server.ts'

type Server = Awaited<ReturnType<typeof startTestServer>>

const JSON_TYPE = 'Content-Type: application/json'
const JOB = '{"command":"x","targets":"db1"}'
const NO_JOB = 'job_aaaaaaaaaaaaaaaaaaaaaaaaaa'

async function send(server: Server, start: string, lines: readonly string[], body?: string) {
  const head = ['Host: localhost', `Authorization: Bearer ${server.key}`, ...lines]
  return readAnswer(await rawRequest(server.port, rawText(`${start} HTTP/1.1`, head, body)))
}

/** Nothing was submitted, and nothing is logged as a fault of ours. */
async function expectNothingDone({ call, lines }: Server): Promise<void> {
  expect((await call('GET', '/v1/jobs')).body).toMatchObject({ jobs: [] })
  expect(lines.filter((line) => /"level":(50|60)/.test(line))).toEqual([])
}

describe('a POST', () => {
  test.each([
    ['no type', []],
    ['text/plain', ['Content-Type: text/plain']],
    ['a form', ['Content-Type: application/x-www-form-urlencoded']],
    ['multipart', ['Content-Type: multipart/form-data; boundary=x']],
    ['application/jsonp', ['Content-Type: application/jsonp']],
    ['application/json5', ['Content-Type: application/json5']],
    ['text/json', ['Content-Type: text/json']],
    ['application/problem+json', ['Content-Type: application/problem+json']],
    ['two types in one', ['Content-Type: application/json, text/plain']],
    ['a type that hides one', ['Content-Type: text/plain; application/json']],
    ['another character set', [`${JSON_TYPE}; charset=latin1`]],
    ['another character set, quoted', [`${JSON_TYPE};v=1; Charset="utf-16"`]],
    ['an empty type', ['Content-Type: ']],
  ])('with %s is refused, with a body or without one', async (_what, lines) => {
    const server = await startTestServer()
    for (const [path, body] of [
      ['/v1/jobs', JOB],
      [`/v1/jobs/${NO_JOB}/cancel`, undefined],
      [`/v1/jobs/${NO_JOB}/cancel`, ''],
      ['/v1/keys/first/revoke', undefined],
    ] as const) {
      const { status, problem } = await send(server, `POST ${path}`, lines, body)
      expect([path, status, problem?.code]).toEqual([path, 415, 'unsupported_media_type'])
      expect(problem?.detail).toMatch(/Content-Type: application\/json/)
    }
    await expectNothingDone(server)
  })

  test.each([
    'application/json',
    'APPLICATION/JSON',
    'application/json;charset=utf-8',
    'application/json; Charset="UTF-8"',
  ])('as %s is taken, with a body or without one', async (type) => {
    const server = await startTestServer()
    expect((await send(server, 'POST /v1/jobs', [`Content-Type: ${type}`], JOB)).status).toBe(202)
    expect((await send(server, `POST /v1/jobs/${NO_JOB}/cancel`, [`Content-Type: ${type}`])).status).toBe(404)
  })

  test('that is compressed is refused, whatever the bytes are', async () => {
    const server = await startTestServer()
    const { status, problem } = await send(server, 'POST /v1/jobs', [JSON_TYPE, 'Content-Encoding: gzip'], JOB)
    expect([status, problem?.code]).toEqual([415, 'unsupported_media_type'])
    expect(problem?.detail).toMatch(/Content-Encoding.*"gzip"/)
    expect((await send(server, 'POST /v1/jobs', [JSON_TYPE, 'Content-Encoding: identity'], JOB)).status).toBe(202)
  })
})

test('a GET with a body is told where its fields belong, since nobody would read them', async () => {
  const server = await startTestServer()
  for (const lines of [[JSON_TYPE], []]) {
    const { status, problem } = await send(server, 'GET /v1/jobs', lines, '{"state":"queued"}')
    expect([status, problem?.code, problem?.detail]).toEqual([
      400,
      'invalid_request',
      expect.stringMatching(/in the query/),
    ])
  }
  expect((await send(server, 'GET /v1/jobs', [JSON_TYPE], '')).status).toBe(200)
  expect((await send(server, 'GET /board', [JSON_TYPE], '{}')).status).toBe(400)
})

const nested = (open: string, close: string, levels: number) => open.repeat(levels) + close.repeat(levels)

test('a body that is null is not taken for none', async () => {
  const server = await startTestServer()
  const { status, problem } = await send(server, `POST /v1/jobs/${NO_JOB}/cancel`, [JSON_TYPE], 'null')
  expect([status, problem?.detail]).toEqual([400, expect.stringMatching(/the body is null/)])
})

/** Fields of a submit that no parser minds. */
const ODD: ReadonlyArray<[string, string, string, RegExp]> = [
  ['a list too deep', `"batches":${nested('[', ']', 100_000)}`, 'batches', /levels deep/],
  [
    'objects too deep',
    `"health_check":{"a":${nested('{"a":', '', 70)}1${'}'.repeat(71)}`,
    'health_check',
    /levels deep/,
  ],
  ['a list too deep in env', `"env":{"A":${nested('[', ']', 5_000)}}`, 'env.A', /levels deep/],
  ['__proto__ in env', '"env":{"__proto__":"x","A":"1"}', 'env.__proto__', /reserved name/],
  ['__proto__ as an object in env', '"env":{"__proto__":{"A":"1"}}', 'env.__proto__', /reserved name/],
  ['an escaped __proto__ in env', '"env":{"__pr\\u006fto__":"x"}', 'env.__proto__', /reserved name/],
  ['constructor in env', '"env":{"constructor":"x"}', 'env.constructor', /reserved name/],
  ['__proto__ beside the fields', '"__proto__":{"command":"y"}', '__proto__', /reserved name/],
  [
    '__proto__ in a health check',
    '"health_check":{"command":"x","__proto__":{}}',
    'health_check.__proto__',
    /reserved name/,
  ],
  ['a field given twice', '"cwd":"/a","cwd":"/b"', 'cwd', /given twice/],
  ['a variable given twice', '"env":{"A":"hunter2","A":"2"}', 'env.A', /given twice/],
]

describe('a submit with', () => {
  test.each(ODD)('%s is refused over REST, and the field is named', async (_what, fields, field, why) => {
    const server = await startTestServer()
    const { status, problem } = await send(
      server,
      'POST /v1/jobs',
      [JSON_TYPE],
      `{"command":"x","targets":"db1",${fields}}`,
    )
    expect([status, problem?.code]).toEqual([400, 'invalid_request'])
    expect(problem?.field).toContain(field)
    expect(problem?.detail).toMatch(why)
    expect(JSON.stringify(problem)).not.toContain('hunter2')
    await expectNothingDone(server)
  })

  test.each(ODD)('%s is refused over MCP, under the ID of the request', async (_what, fields, field, why) => {
    const server = await startTestServer()
    const given = `"arguments":{"command":"x","targets":"db1","wait_s":0,${fields}}`
    const body = `{"method":"tools/call","params":{"name":"run_command",${given}},"jsonrpc":"2.0","id":"seven"}`
    const answer = await server.call('POST', '/mcp', {
      body,
      headers: { accept: 'application/json, text/event-stream' },
    })
    expect([answer.status, answer.body.id, answer.body.error]).toEqual([
      400,
      'seven',
      { code: -32600, message: expect.stringMatching(why) },
    ])
    expect(answer.text).toContain(`params.arguments.${field}`)
    expect(answer.text).not.toContain('hunter2')
    await expectNothingDone(server)
  })
})
