/** What the MCP endpoint takes and refuses, over the wire: in both generations of the protocol, and between them. */
import { type IncomingMessage, request } from 'node:http'
import { json } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { describe, expect, test } from 'vitest'
import { GENERATIONS, postMcp, type WireRequest, wireRequest } from '../../support/mcp/mcp-requests.ts'
import { startTestServer } from '../../support/server/server.ts'

const ACCEPT = { accept: 'application/json, text/event-stream' }
const LIST = { jsonrpc: '2.0', id: 1, method: 'tools/list' }

/** Nothing was submitted, and nothing is logged as a fault of ours. */
async function expectNothingDone({ call, lines }: Awaited<ReturnType<typeof startTestServer>>): Promise<void> {
  expect((await call('GET', '/v1/jobs')).body).toMatchObject({ jobs: [] })
  expect(lines.filter((line) => /"level":(50|60)/.test(line))).toEqual([])
}

test('nothing but POST is taken, and answers carry the headers of every route', async () => {
  const { call } = await startTestServer()
  for (const method of ['GET', 'DELETE']) {
    const refused = await call(method, '/mcp', { headers: ACCEPT })
    expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'POST'])
  }
  for (const generation of GENERATIONS) {
    const answer = await call('POST', '/mcp', wireRequest({ generation, method: 'tools/list' }))
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/json'])
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
    expect(answer.headers.get('x-request-id')).toMatch(/^req_/)
  }
})

describe.each(GENERATIONS)('a %s request', (generation) => {
  const run = { name: 'run_command', arguments: { command: 'x', targets: 'db1', wait_s: 0 } }
  const post = async (more: Partial<WireRequest> & { expiredKey?: boolean }) => {
    const server = await startTestServer()
    const answer = await postMcp(server, { generation, method: 'tools/call', params: run, ...more })
    await expectNothingDone(server)
    return answer
  }

  test.each([
    ['no key', { authorization: '' }, 401, /unauthorized/],
    ['a key that nobody has', { authorization: 'Bearer muster_nobody' }, 401, /the API key is unknown/],
    ['the Origin of another site', { origin: 'https://evil.example' }, 403, /pages of the Origin/],
    ['another content type', { 'content-type': 'text/plain' }, 415, /must be JSON, with Content-Type/],
  ])('with %s is refused', async (_what, headers, status, text) => {
    const answer = await post({ headers })
    expect([answer.status, answer.text]).toEqual([status, expect.stringMatching(text)])
  })

  test('with a key that was revoked or has expired is refused', async () => {
    const server = await startTestServer()
    const expired = await server.makeKey({ owner: 'first', expiresInS: 1 })
    const revoked = await server.makeKey({ owner: 'first' })
    await server.call('POST', `/v1/keys/${revoked.keyId}/revoke`)
    await expect
      .poll(
        async () => {
          const answers = [expired, revoked].map(({ authorization }) =>
            postMcp(server, { generation, method: 'tools/call', params: run, headers: { authorization } }),
          )
          return (await Promise.all(answers)).map(({ status }) => status)
        },
        { timeout: 20_000 },
      )
      .toEqual([401, 401])
  })

  test.each([
    ['over 256 KiB', 256 * 1024],
    ['of many MiB', 9 * 1024 * 1024],
  ])('with a body %s is refused, under its own ID', async (_what, bytes) => {
    const fields = { targets: 'db1', command: 'x', stdin: 'x'.repeat(bytes) }
    const answer = await post({ params: { name: 'run_command', arguments: fields }, id: 'seven' })
    expect([answer.status, answer.id, answer.error]).toEqual([
      413,
      'seven',
      {
        code: -32600,
        message: expect.stringMatching(/^too_large: .* the 262144 bytes[\s\S]*What to do: .* over REST and muster run/),
      },
    ])
  })

  test('for an unknown tool names those that exist', async () => {
    const { error } = await post({ params: { name: 'run_comand', arguments: {} } })
    expect(error?.code).toBe(-32602)
    expect(error?.message).toMatch(/^there is no tool "run_comand"; the tools are .*\brun_command\b/)
  })

  test.each([
    ['a list', []],
    ['a text', '{"targets":"db1"}'],
    ['null', null],
  ])('whose arguments are %s is told what they must be', async (_what, given) => {
    const { status, error, id } = await post({ params: { name: 'run_command', arguments: given }, id: 'seven' })
    expect([status, id, error?.code]).toEqual([200, 'seven', -32602])
    expect(error?.message).toMatch(/^params\.arguments must be a JSON object/)
  })

  test.each([
    ['of the wrong type', { targets: 'db1', command: 7 }, /^invalid_request: command: /],
    ['that are unknown', { targets: 'db1', comand: 'x' }, /^invalid_request: [\s\S]*comand/],
    ['that name no host', { targets: 'db9', command: 'x' }, /^unknown_target: /],
  ])('with fields %s gets the name of the field, as a result that a model reads', async (_what, fields, text) => {
    const { status, result } = await post({ params: { name: 'run_command', arguments: fields } })
    expect([status, result?.isError]).toEqual([200, true])
    expect(result?.content).toEqual([{ type: 'text', text: expect.stringMatching(text) }])
  })

  test('has its trace context kept with the job, and one that is none ignored', async () => {
    const server = await startTestServer()
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    for (const [given, kept] of [
      [traceparent, traceparent],
      ['none', null],
    ]) {
      await postMcp(server, { generation, method: 'tools/call', params: run, meta: { traceparent: given } })
      expect((await server.call('GET', '/v1/jobs?limit=1')).body).toMatchObject({ jobs: [{ traceparent: kept }] })
    }
  })

  test('that meets a fault of ours is told so without its innards, and under which ID it is logged', async () => {
    const server = await startTestServer()
    const { body } = await server.call('POST', '/v1/jobs', { body: { command: 'x', targets: 'db1' } })
    await server.ledger.redis.set(server.ledger.keys.job(`${body.job_id}`), 'no job at all')
    const params = { name: 'get_job', arguments: { job_id: body.job_id } }
    const { status, result, text } = await postMcp(server, { generation, method: 'tools/call', params })
    expect([status, result]).toMatchObject([200, { isError: true, content: [{ type: 'text' }, { type: 'text' }] }])
    const [, requestId] = /"Request: (req_\w+)"/.exec(text) ?? []
    const logged = server.lines.filter((line) => line.includes(`"${requestId}"`) && line.includes('a tool call failed'))
    expect(logged).toEqual([expect.stringContaining('WRONGTYPE')])
    expect(text).not.toMatch(/WRONGTYPE|redis|\.js/i)
  })

  test('for an unknown method is told so', async () => {
    const { error } = await post({ method: 'tools/cull' })
    expect(error).toMatchObject({ code: -32601, message: 'Method not found' })
  })
})

describe('a body that is too long', () => {
  const LONG = 'x'.repeat(300_000)
  const refused = async (body: string) => {
    const server = await startTestServer()
    const answer = await server.call('POST', '/mcp', { body, headers: ACCEPT })
    await expectNothingDone(server)
    expect([answer.status, answer.body.error]).toMatchObject([413, { code: -32600 }])
    return answer.body.id
  }

  test('is refused under the ID that stands behind its long part, where the TypeScript SDK writes it', async () => {
    expect(await refused(`{"method":"tools/call","params":{"id":1,"a":"${LONG}"},"jsonrpc":"2.0","id":8}`)).toBe(8)
  })

  test.each([
    ['a batch', `[{"jsonrpc":"2.0","id":1,"method":"tools/list"},{"a":"${LONG}"}]`],
    ['a notification', `{"jsonrpc":"2.0","method":"notifications/x","params":{"a":"${LONG}"}}`],
    ['two IDs', `{"id":1,"id":2,"a":"${LONG}"}`],
    ['no JSON', LONG],
  ])('and holds %s is refused without one', async (_what, body) => {
    expect(await refused(body)).toBe(null)
  })

  test('and comes in pieces, without a length and without an end, is refused under the ID that was seen', async () => {
    const server = await startTestServer()
    async function* endless() {
      yield Buffer.from('{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"a":"')
      const piece = Buffer.alloc(64 * 1024, 'x')
      for (let count = 0; count < 100_000; count += 1) yield piece
    }
    const { port, key } = server
    const headers = { ...ACCEPT, authorization: `Bearer ${key}`, 'content-type': 'application/json' }
    const sent = request({ port, path: '/mcp', method: 'POST', headers })
    // The server closes the connection after its answer.
    const writing = pipeline(endless, sent).catch(() => undefined)
    const answer = await new Promise<IncomingMessage>((resolve) => sent.once('response', resolve))
    expect(answer.statusCode).toBe(413)
    expect(await json(answer)).toMatchObject({ id: 5, error: { code: -32600 } })
    await writing
    await expectNothingDone(server)
  })
})

describe('a body', () => {
  test.each([
    ['that is not JSON', '{"jsonrpc":', 400, -32700, /the body is not JSON/],
    ['that is empty', '', 400, -32700, /JSON/],
    ['that is no message', { hello: 1 }, 400, -32600, /not a valid JSON-RPC message/],
    ['of a call without a tool', { ...LIST, method: 'tools/call', params: {} }, 200, -32602, /name of a tool/],
  ])('%s is refused in words', async (_what, body, status, code, text) => {
    const server = await startTestServer()
    const answer = await server.call('POST', '/mcp', { body, headers: ACCEPT })
    expect([answer.status, answer.body.error]).toMatchObject([status, { code, message: expect.stringMatching(text) }])
    await expectNothingDone(server)
  })
})

describe('headers and body that disagree', () => {
  const listed = (generation: 'legacy' | 'modern') => wireRequest({ generation, method: 'tools/list' })
  test.each([
    ['a legacy body with the headers of today', listed('legacy').body, listed('modern').headers, -32602, /missing/],
    ['a modern body without headers', listed('modern').body, ACCEPT, -32020, /MCP-Protocol-Version header is absent/],
    [
      'another method in the header',
      listed('modern').body,
      { ...listed('modern').headers, 'mcp-method': 'tools/call' },
      -32020,
      /Mcp-Method/,
    ],
    [
      'a legacy revision in the header of a modern body',
      listed('modern').body,
      { ...listed('modern').headers, 'mcp-protocol-version': '2025-11-25' },
      -32020,
      /2025-11-25/,
    ],
    [
      'a revision that nobody knows',
      listed('legacy').body,
      { ...ACCEPT, 'mcp-protocol-version': '2024-01-01' },
      -32000,
      /Unsupported protocol version: 2024-01-01 \(supported versions: /,
    ],
  ])('%s: refused, and told what disagrees', async (_what, body, headers, code, text) => {
    const { call } = await startTestServer()
    const answer = await call('POST', '/mcp', { body, headers })
    expect([answer.status, answer.body.error]).toMatchObject([400, { code, message: expect.stringMatching(text) }])
  })

  test('a modern request needs to say what its client can do', async () => {
    const server = await startTestServer()
    const missing = { 'io.modelcontextprotocol/clientCapabilities': undefined }
    const { status, error } = await postMcp(server, { generation: 'modern', method: 'tools/list', meta: missing })
    expect([status, error?.code]).toEqual([400, -32602])
    expect(error?.message).toContain('clientCapabilities: missing')
    const meta = { 'io.modelcontextprotocol/protocolVersion': '2027-01-01' }
    const headers = { 'mcp-protocol-version': '2027-01-01' }
    const later = await postMcp(server, { generation: 'modern', method: 'tools/list', meta, headers })
    expect([later.status, later.error]).toMatchObject([400, { code: -32022, data: { supported: ['2026-07-28'] } }])
  })
})

describe('a batch', () => {
  const batchOf = (size: number) =>
    Array.from({ length: size }, (_, id) => ({
      ...LIST,
      id,
      method: 'tools/call',
      params: { name: 'run_command', arguments: { command: 'x', targets: 'db1', wait_s: 0 } },
    }))

  const postBatch = async ({ url, key }: { url: string; key: string }, size: number) => {
    const headers = { ...ACCEPT, authorization: `Bearer ${key}`, 'content-type': 'application/json' }
    const answer = await fetch(`${url}/mcp`, { method: 'POST', headers, body: JSON.stringify(batchOf(size)) })
    return answer.text()
  }

  test('is answered message by message', async () => {
    const { url, key, call } = await startTestServer()
    expect(JSON.parse(await postBatch({ url, key }, 20))).toHaveLength(20)
    expect((await call('GET', '/v1/jobs?limit=100')).body.jobs).toHaveLength(20)
  })

  test('of more messages is refused, and none of it is done', async () => {
    const server = await startTestServer()
    const answer = await server.call('POST', '/mcp', { body: batchOf(21), headers: ACCEPT })
    expect([answer.status, answer.body.error]).toMatchObject([400, { message: expect.stringMatching(/at most 20/) }])
    await expectNothingDone(server)
  })

  test('is counted call by call', async () => {
    const { url, key, call } = await startTestServer({ limits: { callsPerMin: 100, jobsPerMin: 5 } })
    const text = await postBatch({ url, key }, 12)
    expect(text.match(/rate_limited/g)).toHaveLength(7)
    expect((await call('GET', '/v1/jobs')).body.jobs).toHaveLength(5)
  })
})
