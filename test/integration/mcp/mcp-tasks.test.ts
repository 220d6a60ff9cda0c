/** The Tasks extension: by hand over the wire, and end to end with the client that its authors publish. */
import type { Client } from '@modelcontextprotocol/client'
import { createTaskSessionFromClient, resultFromTaskOutcome } from '@modelcontextprotocol/ext-tasks/client'
import { finishRun } from '@muster/ledger'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { ended, exited, start } from '../../support/ledger/held-run.ts'
import { connectModernSdk } from '../../support/mcp/mcp-clients.ts'
import { postMcp, type WireRequest } from '../../support/mcp/mcp-requests.ts'
import { startTestServer } from '../../support/server/server.ts'

const EXTENSION = 'io.modelcontextprotocol/tasks'
const DECLARED = { extensions: { [EXTENSION]: {} } }
const Job = z.looseObject({ job_id: z.string(), state: z.string() })

async function startTasks(options: Parameters<typeof startTestServer>[0] = {}) {
  const server = await startTestServer(options)
  const ask = (method: string, params: Record<string, unknown>, more: Partial<WireRequest> = {}) =>
    postMcp(server, { generation: 'modern', method, params, capabilities: DECLARED, ...more })
  const use = (name: string, fields: Record<string, unknown>, more: Partial<WireRequest> = {}) =>
    ask('tools/call', { name, arguments: fields }, more)
  const submit = async (fields: Record<string, unknown> = {}) => {
    const { result } = await use('run_command', { command: 'x', targets: 'db1', wait_s: 0, ...fields })
    return Job.parse(result?.structuredContent).job_id
  }
  return { ...server, ask, use, submit }
}

describe('a wait of a client that declares the extension', () => {
  test('is a task with the ID of the job, answered at once and with what is known', async () => {
    const { use, submit } = await startTasks()
    const jobId = await submit({ targets: '@web' })
    const startMs = performance.now()
    const { status, result } = await use('wait_job', { job_id: jobId, wait_s: 40 })
    expect(performance.now() - startMs).toBeLessThan(20_000)
    expect([status, result]).toMatchObject([
      200,
      {
        resultType: 'task',
        taskId: jobId,
        status: 'working',
        statusMessage: expect.stringContaining('0 of 12 hosts have ended; 12 queued'),
        ttlMs: null,
        pollIntervalMs: 2_000,
        structuredContent: { job_id: jobId, state: 'queued' },
      },
    ])
    expect(Number.isNaN(Date.parse(`${result?.createdAt}`))).toBe(false)
  })

  test('is no task for an ended job, for a change, when refused, or when the extension is not declared', async () => {
    const { use, submit, ledger } = await startTasks()
    const jobId = await submit()
    const kind = async (fields: Record<string, unknown>, more: Partial<WireRequest> = {}) => {
      const { result } = await use('wait_job', fields, more)
      return [result?.resultType, result?.isError ?? false]
    }
    expect(await kind({ job_id: jobId, wait_s: 0.1 }, { capabilities: {} })).toEqual(['complete', false])
    expect(await kind({ job_id: jobId, wait_s: 0.1, until: 'any_change' })).toEqual(['complete', false])
    expect(await kind({ job_id: jobId, wait_s: 900 })).toEqual(['complete', true])
    expect(await kind({ job_id: `job_${'a'.repeat(26)}` })).toEqual(['complete', true])
    await finishRun(ledger, await start(ledger, jobId, 0), ended())
    expect(await kind({ job_id: jobId })).toEqual(['complete', false])
  })

  test('run_command never answers with one', async () => {
    const { use } = await startTasks()
    const { result } = await use('run_command', { command: 'x', targets: 'db1', wait_s: 0.1 })
    expect(result).toMatchObject({ resultType: 'complete', structuredContent: { state: 'queued' } })
    expect(result).not.toHaveProperty('taskId')
  })
})

describe('a task', () => {
  test('works until its job ends, then carries the answer of wait_job; failed commands do not fail it', async () => {
    const { ask, use, submit, ledger } = await startTasks()
    const jobId = await submit()
    const before = await ask('tasks/get', { taskId: jobId })
    expect(before.result).toMatchObject({ resultType: 'complete', taskId: jobId, status: 'working' })
    expect(before.result).not.toHaveProperty('result')
    await finishRun(ledger, await start(ledger, jobId, 0), exited(3))
    const { result: after } = await ask('tasks/get', { taskId: jobId })
    expect(after).toMatchObject({ resultType: 'complete', status: 'completed' })
    const { result: waited } = await use('wait_job', { job_id: jobId })
    const told = z.looseObject({ resultType: z.literal('complete'), structuredContent: Job }).parse(after?.result)
    expect(told.structuredContent).toEqual(waited?.structuredContent)
    expect(told.structuredContent.state).toBe('failed')
    expect(after).not.toHaveProperty('pollIntervalMs')
  })

  test('is completed by a pause, which waits for the caller', async () => {
    const { ask, submit, ledger } = await startTasks()
    const jobId = await submit({ targets: '@web', batches: [1], gate: 'manual' })
    await finishRun(ledger, await start(ledger, jobId, 0), ended())
    const { result } = await ask('tasks/get', { taskId: jobId })
    expect(result).toMatchObject({
      status: 'completed',
      result: { structuredContent: { job_id: jobId, state: 'paused' } },
    })
  })

  test('that is cancelled leaves its job alone, and says so before', async () => {
    const { ask, submit, call } = await startTasks()
    const jobId = await submit()
    const { result } = await ask('tasks/get', { taskId: jobId })
    expect(result?.statusMessage).toContain('Cancelling this task ends the wait; cancel_job ends the job.')
    for (const method of ['tasks/cancel', 'tasks/cancel', 'tasks/update']) {
      const answer = await ask(method, { taskId: jobId, inputResponses: {} })
      expect(answer.result).toMatchObject({ resultType: 'complete' })
      expect(answer.result).not.toHaveProperty('taskId')
    }
    expect((await call('GET', `/v1/jobs/${jobId}`)).body).toMatchObject({ state: 'queued', cancel_requested_at: null })
  })

  test.each(['tasks/get', 'tasks/update', 'tasks/cancel'])(
    '%s tells alike what is no task and what is not yours',
    async (method) => {
      const { ask, submit, makeKey } = await startTasks()
      const jobId = await submit()
      const { authorization } = await makeKey({ owner: 'another', scopes: ['jobs:read', 'jobs:run'] })
      const foreign = await ask(method, { taskId: jobId }, { headers: { authorization } })
      const unknown = await ask(method, { taskId: `job_${'a'.repeat(26)}` })
      const none = await ask(method, { taskId: 'seven' })
      const alike = (taskId: string) => ({
        code: -32602,
        message: `there is no task "${taskId}"; a task has the ID of the job that it waits for`,
      })
      expect([foreign.error, unknown.error, none.error]).toEqual([
        alike(jobId),
        alike(`job_${'a'.repeat(26)}`),
        alike('seven'),
      ])
    },
  )

  test('is nothing for a request that does not declare the extension, nor for a key that may not read', async () => {
    const { ask, submit, makeKey } = await startTasks()
    const taskId = await submit()
    const undeclared = await ask('tasks/get', { taskId }, { capabilities: {} })
    expect([undeclared.status, undeclared.error?.code]).toEqual([400, -32021])
    expect(undeclared.error?.data).toEqual({ requiredCapabilities: DECLARED })
    const { authorization } = await makeKey({ owner: 'first', scopes: ['jobs:run'] })
    const { error } = await ask('tasks/get', { taskId }, { headers: { authorization } })
    expect(error?.message).toMatch(/^insufficient_scope: .*jobs:read/)
  })
})

test('the client of the extension waits for a job to its end', async () => {
  const { url, key, submit, ledger } = await startTasks()
  const jobId = await submit()
  const client = await connectModernSdk({ url, key }, 'auto')
  const session = createTaskSessionFromClient(client, {
    endpointId: url,
    ...rawPathOf(client, { url, key }),
  })
  const execution = await session.callTool('wait_job', { job_id: jobId })
  await finishRun(ledger, await start(ledger, jobId, 0), ended())
  const { outcome } = await execution.settle()
  expect(resultFromTaskOutcome(outcome)).toMatchObject({ structuredContent: { job_id: jobId, state: 'succeeded' } })
  await session.close()
})

/** The SDK's client refuses results that are tasks, so these requests go past it. */
function rawPathOf(client: Client, server: { url: string; key: string }) {
  const Request = z.looseObject({ method: z.string(), params: z.record(z.string(), z.unknown()).optional() })
  const Json = z.json()
  let id = 1_000
  return {
    v2RequestFraming: {
      protocolVersion: client.getNegotiatedProtocolVersion() ?? '',
      clientInfo: { name: 'test', version: '0' },
      clientCapabilities: DECLARED,
    },
    rawDispatch: async (request: unknown) => {
      const { method, params = {} } = Request.parse(request)
      id += 1
      const answer = await postMcp(server, { generation: 'modern', method, params, id, capabilities: DECLARED })
      if (answer.error === undefined) return { kind: 'result' as const, result: Json.parse(answer.result) }
      const { code, message } = answer.error
      return { kind: 'error' as const, error: { code, message } }
    },
  }
}
