/** Bodies that would be much work to refuse: each is refused in few words, and after little of it was looked at. */
import { describe, expect, test } from 'vitest'
import { startTestServer } from '../../support/server/server.ts'

/** About as long as the body that once held a server up for two seconds. */
const LENGTH = 633 * 1024
/** A body of a call over MCP. */
const CALL_LENGTH = 250 * 1024

function fill(one: (i: number) => string, length = LENGTH): string {
  const parts: string[] = []
  for (let size = 0; size < length; size += (parts.at(-1) ?? '').length + 1) parts.push(one(parts.length))
  return parts.join(',')
}

const call = (fields: string) =>
  `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"run_command","arguments":{${fields}}}}`
const JOB = '"command":"x","targets":"web01"'
const field = (i: number) => `"f${i}":1`
const TOO_MUCH = /goes on at character \d{4,5} beyond what is read: at most 5000 values/

describe('refused before it is parsed is a body with', () => {
  test.each([
    ['unknown fields', '/v1/jobs', `{${JOB},${fill(field)}}`],
    ['unknown fields of another', '/v1/jobs', `{${JOB},"health_check":{${fill(field)}}}`],
    ['wrong elements', '/v1/jobs', `{${JOB},"retry_on":[${fill(() => '0')}]}`],
    ['variables without a name', '/v1/jobs', `{${JOB},"env":{${fill((i) => `"${i}":""`)}}}`],
    ['scopes', '/v1/keys', `{"owner":"me","scopes":[${fill(() => '""')}]}`],
    ['nothing but a list', '/v1/jobs', `[${fill(() => '{}')}]`],
    ['30 MiB of fields', '/v1/jobs', `{${JOB},${fill(field, 30 * 1024 * 1024)}}`],
  ])('%s', async (_what, path, body) => {
    const server = await startTestServer()
    const answer = await server.call('POST', path, { body })
    expect([answer.status, answer.body]).toMatchObject([400, { code: 'invalid_request' }])
    expect(answer.body.detail).toMatch(TOO_MUCH)
    expect(answer.text.length).toBeLessThan(2_000)
    expect((await server.call('GET', '/v1/jobs')).body.jobs).toEqual([])
  })

  test.each([
    ['arguments', call(fill(field, CALL_LENGTH)), 7],
    ['elements', call(`${JOB},"argv":[${fill(() => '1', CALL_LENGTH)}]`), 7],
    ['a batch', `[${Array.from({ length: 20 }, () => call(fill(field, CALL_LENGTH / 21))).join(',')}]`, null],
    ['no messages', `[${fill(() => '1', CALL_LENGTH)}]`, null],
  ])('%s over MCP', async (_what, body, id) => {
    const server = await startTestServer()
    const headers = { accept: 'application/json, text/event-stream' }
    const answer = await server.call('POST', '/mcp', { body, headers })
    expect(answer.body).toMatchObject({ id, error: { message: expect.stringMatching(TOO_MUCH) } })
    expect(answer.text.length).toBeLessThan(2_000)
  })
})

test('a long text where none is taken is described by its beginning and its length', async () => {
  const server = await startTestServer()
  for (const name of ['title', 'run_as', 'order', 'idempotency_key', 'targets']) {
    const answer = await server.call('POST', '/v1/jobs', { body: { command: 'x', [name]: 'a!'.repeat(300_000) } })
    expect(answer.status).toBe(400)
    expect(answer.body.detail).toMatch(new RegExp(`${name}: .*received "[a!]{59}… \\(600000 characters\\)`))
    expect(answer.text.length).toBeLessThan(2_000)
  }
})
