/** What a key may do is asked at every call, over REST and MCP: walked through for all that is in the tables. */
import { ALL_SCOPES, JobReport, OPERATIONS, TOOL_NAMES, TOOLS } from '@muster/contract'
import { describe, expect, test } from 'vitest'
import { allBut } from '../../support/access/keys.ts'
import { connectMcp, everyMcpCall, everyRestCall, everythingStored } from '../../support/server/every-call.ts'
import { startTestServer } from '../../support/server/server.ts'

/** A server with one job of the first key. */
async function serverWithJob() {
  const server = await startTestServer()
  const { body } = await server.call('POST', '/v1/jobs', { body: { command: 'true', targets: '@web' } })
  return { ...server, jobId: JobReport.parse(body).job_id }
}

describe('a key without the scope of an operation', () => {
  test('is refused by each of them, over REST and over MCP, and nothing is changed', async () => {
    const server = await serverWithJob()
    const www: string[] = []
    const calls = [...everyRestCall(server, www), ...everyMcpCall(server)]
    expect(new Set(calls.map(({ scope }) => scope)).size).toBe(ALL_SCOPES.length - 1)
    const keys = new Map(
      await Promise.all(
        [...new Set(calls.map(({ scope }) => scope))].map(async (lacking) => {
          return [lacking, await server.makeKey({ owner: 'first', scopes: allBut(lacking) })] as const
        }),
      ),
    )
    const before = await everythingStored(server)
    for (const { name, scope, make } of calls) {
      const key = keys.get(scope)
      const { isRefused, text } = await make(key?.authorization ?? '', { job_id: server.jobId })
      expect([name, isRefused, text]).toEqual([name, true, expect.stringContaining('insufficient_scope')])
      expect([name, text]).toEqual([name, expect.stringContaining(`needs the scope ${scope}, and the API key`)])
      expect([name, text]).toEqual([name, expect.stringContaining(key?.keyId ?? 'no key')])
    }
    expect(await everythingStored(server)).toEqual(before)
    for (const header of www) {
      expect(header).toMatch(/^Bearer realm="Muster", error="insufficient_scope", scope="[a-z]+(:[a-z]+)+"$/)
    }
  }, 60_000)

  test('is refused before its fields are looked at', async () => {
    const { call, makeKey } = await startTestServer()
    const { authorization } = await makeKey({ owner: 'first', scopes: ['jobs:read'] })
    const answer = await call('POST', '/v1/jobs', { headers: { authorization }, body: { bogus: 1 } })
    expect([answer.status, answer.body.code, answer.body.scope]).toEqual([403, 'insufficient_scope', 'jobs:run'])
  })

  test('is not told of the tools that it may not use', async () => {
    const server = await startTestServer()
    for (const scopes of [['jobs:read'], ['hosts:inspect', 'jobs:run'], [...ALL_SCOPES]] as const) {
      const { authorization } = await server.makeKey({ owner: 'first', scopes })
      const { tools } = await (await connectMcp(server, authorization)).listTools()
      const may = TOOL_NAMES.filter((name) => scopes.some((scope) => scope === OPERATIONS[TOOLS[name].operation].scope))
      expect(tools.map(({ name }) => name)).toEqual(may)
    }
  })
})

test('a key with no other scope than that of an operation may do it', async () => {
  const server = await serverWithJob()
  // So that following it ends.
  await server.call('POST', `/v1/jobs/${server.jobId}/cancel`)
  for (const { name, scope, make } of [...everyRestCall(server), ...everyMcpCall(server)]) {
    const { authorization } = await server.makeKey({ owner: 'first', scopes: [scope] })
    const { text } = await make(authorization, { job_id: server.jobId })
    expect([name, text]).toEqual([name, expect.not.stringMatching(/insufficient_scope|there is no job|^[45]0[135]/)])
  }
}, 60_000)

describe('without jobs:all', () => {
  test('the board is closed, and says why', async () => {
    const { call, makeKey } = await startTestServer()
    const { authorization, keyId } = await makeKey({
      owner: 'first',
      scopes: ALL_SCOPES.filter((scope) => scope !== 'jobs:all'),
    })
    for (const path of [
      '/board',
      '/board/',
      '/board/api/queues',
      '/board/queue/tickets',
      '/board/static/favicon.ico',
    ]) {
      const answer = await call('GET', path, { headers: { authorization } })
      expect([path, answer.status, answer.body.code]).toEqual([path, 403, 'insufficient_scope'])
      expect(answer.body.detail).toContain(`needs the scope jobs:all, and the API key ${keyId}`)
    }
    const { authorization: all } = await makeKey({ owner: 'ops', scopes: ['jobs:all', 'jobs:read'] })
    expect((await call('GET', '/board', { headers: { authorization: all } })).status).toBe(200)
  })

  test('the documentation is open to any key', async () => {
    const { call, makeKey } = await startTestServer()
    const { authorization } = await makeKey({ owner: 'first', scopes: ['hosts:read'] })
    for (const path of ['/docs', '/openapi.json']) {
      expect((await call('GET', path, { headers: { authorization } })).status).toBe(200)
    }
  })
})
