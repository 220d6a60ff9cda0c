/**
 * What a key may read, on every path: each operation over REST, each tool over both generations of MCP, events, tasks,
 * errors and the board. The texts of a job are marks, so that one that turns up where it must not is seen.
 */
import {
  ALL_SCOPES,
  Job,
  JobReport,
  OPERATION_NAMES,
  OPERATIONS,
  type Operation,
  Run,
  readerOf,
  type Scope,
  TOOL_NAMES,
  TOOLS,
} from '@muster/contract'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { printAndEnd } from '../../support/ledger/printed-run.ts'
import { CLIENTS } from '../../support/mcp/mcp-clients.ts'
import { postMcp } from '../../support/mcp/mcp-requests.ts'
import { everyMcpCall, everyRestCall } from '../../support/server/every-call.ts'
import { startTestServer } from '../../support/server/server.ts'

/** What was run and printed: only for who may read output. Nobody is told of env and stdin. */
const OUTPUT = /MARK-(command|args|health|stdout|stderr|detail)/
const NOBODYS = /MARK-(env|stdin)/
/** What else is in the job: only for who may read jobs. */
const INNER = /MARK-title|web0[1-3]/

const INVENTORY = 'defaults: { user: deploy }\nhosts: { "web[01-03]": { address: "10.0.0.[1-3]" } }\n'

/** A server with a job of three hosts that has ended: one printed, one failed before it started, one was cancelled. */
async function serverWithMarks() {
  const server = await startTestServer({ inventoryYaml: INVENTORY })
  const body = {
    script: '#!/bin/sh\necho MARK-command',
    script_args: ['MARK-args'],
    stdin: 'MARK-stdin',
    env: { SECRET: 'MARK-env' },
    health_check: { command: 'MARK-health' },
    title: 'MARK-title',
    targets: 'web[01-03]',
    retries: 0,
  }
  const headers = { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' }
  const { job_id: jobId } = JobReport.parse((await server.call('POST', '/v1/jobs', { body, headers })).body)
  await printAndEnd(server.ledger, jobId, 0, { stdout: 'MARK-stdout\n', stderr: 'MARK-stderr\n', exitCode: 3 })
  const refused = { state: 'unreachable', reason: 'channel_refused', detail: 'MARK-detail', exitCode: null } as const
  await printAndEnd(server.ledger, jobId, 1, { end: { ...refused, remote: 'ended' } })
  await server.call('POST', `/v1/jobs/${jobId}/cancel`, { body: {} })
  await server.call('POST', `/v1/jobs/${jobId}/rerun`, { body: { states: ['cancelled'] } })
  return { ...server, jobId }
}

/** Keys with one scope, and with what else they may read. */
const SETS: ReadonlyArray<readonly Scope[]> = ALL_SCOPES.flatMap((scope) => [[scope], [scope, 'jobs:read' as const]])

const isOfJobs = (scope: Scope) => scope.startsWith('jobs:')

describe('a key', () => {
  test('is told nothing of a job that it may not read, by no operation and no tool', async () => {
    const server = await serverWithMarks()
    const calls = [...everyRestCall(server), ...everyMcpCall(server)].filter(({ scope }) => isOfJobs(scope))
    expect(calls.length).toBeGreaterThan(20)
    for (const scopes of SETS) {
      const { authorization, holder } = await server.makeKey({ owner: 'first', scopes })
      for (const { name, make } of calls) {
        const { text } = await make(authorization, { job_id: server.jobId, targets: 'web[01-03]' })
        const told = [name, scopes, text]
        expect(told).toEqual([name, scopes, expect.not.stringMatching(NOBODYS)])
        if (!holder.scopes.has('jobs:read:output')) {
          expect(told).toEqual([name, scopes, expect.not.stringMatching(OUTPUT)])
        }
        if (!holder.scopes.has('jobs:read')) expect(told).toEqual([name, scopes, expect.not.stringMatching(INNER)])
      }
    }
  }, 240_000)

  test('that may read output is told of each mark by some operation, so that the marks mean something', async () => {
    const server = await serverWithMarks()
    const { authorization } = await server.makeKey({ owner: 'first', scopes: ['jobs:read:output'] })
    for (const calls of [everyRestCall(server), everyMcpCall(server)]) {
      let all = ''
      for (const { make, scope } of calls) {
        if (scope.startsWith('jobs:read')) all += (await make(authorization, { job_id: server.jobId })).text
      }
      for (const mark of ['command', 'args', 'stdout', 'stderr', 'detail', 'title'])
        expect(all).toContain(`MARK-${mark}`)
      expect(all).not.toMatch(NOBODYS)
    }
  }, 60_000)

  test('that cancels and may not read gets how the job stands, and no more fields than these', async () => {
    const server = await serverWithMarks()
    const { authorization } = await server.makeKey({ owner: 'first', scopes: ['jobs:cancel'] })
    const cancelled = await server.call('POST', `/v1/jobs/${server.jobId}/cancel`, {
      headers: { authorization },
      body: {},
    })
    const visible = Object.entries(cancelled.body).filter(([, value]) => value !== null)
    expect(visible.map(([name]) => name).toSorted()).toEqual([
      'budget',
      'cancel_requested_at',
      'changes',
      'concurrency',
      'counts',
      'created_at',
      'ended_at',
      'exec_timeout_s',
      'job_id',
      'links',
      'owner',
      'problems_omitted',
      'started_at',
      'state',
      'submitted_by',
      'total',
    ])
    for (const connect of Object.values(CLIENTS)) {
      const client = await connect({ url: server.url, key: authorization.replace('Bearer ', '') })
      const { structuredContent } = await client.callTool({ name: 'cancel_job', arguments: { job_id: server.jobId } })
      expect(Object.keys(z.looseObject({}).parse(structuredContent)).toSorted()).toEqual([
        'cancel_requested_at',
        'changes',
        'counts',
        'elapsed_s',
        'hosts',
        'job_id',
        'next',
        'next_poll_s',
        'state',
      ])
    }
  }, 60_000)
})

/** Every field of an answer, as `problems[].detail`, with the scope it is marked with. */
function fieldsOf(schema: unknown, path = ''): Array<readonly [string, string]> {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable || schema instanceof z.ZodDefault) {
    return fieldsOf(schema.def.innerType, path)
  }
  if (schema instanceof z.ZodArray) return fieldsOf(schema.def.element, `${path}[]`)
  if (!(schema instanceof z.ZodObject)) return []
  return Object.entries(schema.shape).flatMap(([name, field]): Array<readonly [string, string]> => {
    const at = path === '' ? name : `${path}.${name}`
    const reader = readerOf(field)
    return reader === undefined ? fieldsOf(field, at) : [[at, reader], ...fieldsOf(field, at)]
  })
}

describe('the marks of the fields', () => {
  test('are these: whoever takes one away changes what keys may read', () => {
    expect(Object.fromEntries(fieldsOf(JobReport))).toEqual({
      title: 'jobs:read',
      targets: 'jobs:read',
      selection: 'jobs:read',
      rerun_of: 'jobs:read',
      traceparent: 'jobs:read',
      command: 'jobs:read:output',
      arguments: 'jobs:read:output',
      options: 'jobs:read',
      'options.health_check': 'jobs:read:output',
      problems: 'jobs:read',
      'problems[].detail': 'jobs:read:output',
      notices: 'jobs:read',
      tripped_by: 'jobs:read',
      reruns: 'jobs:read',
    })
    expect(Object.fromEntries(fieldsOf(Run))).toEqual({
      detail: 'jobs:read:output',
      'late_result.detail': 'jobs:read:output',
      'stdout.sha256': 'jobs:read:output',
      'stderr.sha256': 'jobs:read:output',
    })
  })

  test('leave a job no field of text that is not known here', () => {
    const texts = (schema: z.ZodObject) =>
      Object.entries(schema.shape).flatMap(([name, field]) =>
        readerOf(field) === undefined && z.safeParse(field, 'any text').success ? [name] : [],
      )
    expect(texts(JobReport)).toEqual(texts(Job))
    expect(texts(Job)).toEqual(['owner', 'submitted_by'])
    expect(texts(Run)).toEqual(['job_id', 'host', 'signal', 'notice', 'worker'])
  })

  test('can be left out: each is of a field that may be null or absent, or its operation needs the scope', () => {
    for (const name of OPERATION_NAMES) {
      const { output }: Operation = OPERATIONS[name]
      if (!(output instanceof z.ZodObject)) continue
      for (const [field, schema] of Object.entries(output.shape)) {
        if (readerOf(schema) === undefined || OPERATIONS[name].scope === readerOf(schema)) continue
        const accepts = z.safeParse(schema, null).success || z.safeParse(schema, undefined).success
        expect([name, field, accepts]).toEqual([name, field, true])
      }
    }
  })
})

describe('a key that reads jobs and not their output', () => {
  test('follows a job, and not what a host prints', async () => {
    const server = await serverWithMarks()
    const { authorization } = await server.makeKey({ owner: 'first', scopes: ['jobs:read'] })
    const follow = (query: string) =>
      server.call('GET', `/v1/jobs/${server.jobId}/events${query}`, { headers: { authorization } })
    const job = await follow('')
    expect([job.status, job.text]).toEqual([200, expect.stringContaining('event: end')])
    expect(job.text).not.toMatch(OUTPUT)
    const host = await follow('?host=web01')
    expect([host.status, host.body.code, host.body.scope]).toEqual([403, 'insufficient_scope', 'jobs:read:output'])
  })

  test('is given a task without output, and no call that it may not make', async () => {
    const server = await serverWithMarks()
    const { key } = await server.makeKey({ owner: 'first', scopes: ['jobs:read'] })
    const capabilities = { extensions: { 'io.modelcontextprotocol/tasks': {} } }
    const params = { taskId: server.jobId }
    const task = await postMcp(
      { url: server.url, key },
      { generation: 'modern', method: 'tasks/get', params, capabilities },
    )
    expect(task.result).toMatchObject({ status: 'completed', result: { structuredContent: { state: 'cancelled' } } })
    expect(task.text).not.toMatch(OUTPUT)
    expect(task.text).not.toMatch(/get_output|rerun_job/)
  })

  test('is not listed the tools that read output', async () => {
    const { url, makeKey } = await startTestServer()
    const { key } = await makeKey({ owner: 'first', scopes: ['jobs:read'] })
    for (const connect of Object.values(CLIENTS)) {
      const { tools } = await (await connect({ url, key })).listTools()
      const may = TOOL_NAMES.filter((name) => OPERATIONS[TOOLS[name].operation].scope === 'jobs:read')
      expect(tools.map(({ name }) => name)).toEqual(may)
      expect(may).not.toContain('get_output')
    }
  })

  test('is one that could read output before there was a scope for that', async () => {
    const server = await serverWithMarks()
    const { authorization, keyId } = await server.makeKey({ owner: 'first', scopes: ['jobs:read'] })
    const { redis, keys } = server.ledger
    const { format: _format, ...before } = JSON.parse((await redis.hget(keys.apiKeys, keyId)) ?? '')
    await redis.hset(keys.apiKeys, keyId, JSON.stringify(before))
    const { text } = await server.call('GET', `/v1/jobs/${server.jobId}/output`, { headers: { authorization } })
    expect(text).toContain('MARK-stdout')
    const { keys: listed } = OPERATIONS.list_keys.output.parse((await server.call('GET', '/v1/keys')).body)
    expect(listed.find(({ key_id: id }) => id === keyId)?.scopes).toEqual(['jobs:read', 'jobs:read:output'])
  })
})

describe('who may not see hosts', () => {
  test('is suggested none: neither of the inventory, nor of a job', async () => {
    const { call, makeKey, jobId } = await serverWithMarks()
    const { authorization } = await makeKey({ owner: 'first', scopes: ['jobs:run', 'jobs:cancel'] })
    const headers = { authorization }
    const refusals = [
      await call('POST', '/v1/jobs', { headers, body: { command: 'true', targets: 'web04' } }),
      await call('POST', '/v1/jobs', { headers, body: { command: 'true', targets: 'web01', exclude: 'web0z' } }),
      await call('POST', `/v1/jobs/${jobId}/cancel`, { headers, body: { targets: 'web04' } }),
    ]
    for (const { status, body, text } of refusals) {
      expect([status, body.code, body.nearest]).toEqual([422, 'unknown_target', undefined])
      expect(text).not.toMatch(/did you mean|web0[123]/)
    }
    const helped = await call('POST', '/v1/jobs', { body: { command: 'true', targets: 'web04' } })
    expect(helped.body).toMatchObject({ nearest: expect.arrayContaining(['web01']) })
  })
})

test('the board shows hosts and titles, and so is for those who may read jobs', async () => {
  const { call, makeKey } = await serverWithMarks()
  const statusFor = async (...scopes: Scope[]) => {
    const { authorization } = await makeKey({ owner: 'first', scopes })
    return (await call('GET', '/board/api/queues', { headers: { authorization } })).status
  }
  expect([await statusFor('jobs:all'), await statusFor('jobs:read'), await statusFor('jobs:all', 'jobs:read')]).toEqual(
    [403, 403, 200],
  )
})
