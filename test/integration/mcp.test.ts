/** MCP through the SDK's own client over real HTTP, without a worker: jobs are accepted and stay queued. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { OPERATIONS } from '@muster/contract'
import { appendOutput, claimRun, dispatchRun, finishRun, type Ledger } from '@muster/ledger'
import { describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { ended, start } from '../support/held-run.ts'
import { startTestServer } from '../support/server.ts'

const NO_JOB = `job_${'a'.repeat(26)}`
const ToolResult = z.object({
  isError: z.boolean().default(false),
  content: z.array(z.object({ type: z.literal('text'), text: z.string() })).length(1),
  structuredContent: z.record(z.string(), z.unknown()).optional(),
})

async function connectClient(options: Parameters<typeof startTestServer>[0] = {}) {
  const server = await startTestServer(options)
  const client = new Client({ name: 'test', version: '0' })
  const transport = new StreamableHTTPClientTransport(new URL(`${server.url}/mcp`), {
    requestInit: { headers: { authorization: `Bearer ${server.key}` } },
  })
  await client.connect(transport)
  onTestFinished(() => client.close())
  // The client checks structured answers against the output schemas that it was told of.
  const { tools } = await client.listTools()
  const use = async (name: string, fields: Record<string, unknown> = {}) => {
    const { isError, content, structuredContent } = ToolResult.parse(await client.callTool({ name, arguments: fields }))
    const [{ text } = { text: '' }] = content
    return { isError, text, structured: structuredContent }
  }
  return { ...server, client, tools, use }
}

describe('an AI agent', () => {
  test('is told of every tool, with hints that are true', async () => {
    const { tools, client } = await connectClient()
    expect(tools.map((tool) => tool.name)).toEqual([
      'run_command',
      'list_jobs',
      'get_job',
      'wait_job',
      'get_output',
      'cancel_job',
      'resume_job',
      'rerun_job',
      'preview_targets',
      'list_hosts',
      'test_connection',
    ])
    const readOnly = tools.filter((tool) => tool.annotations?.readOnlyHint).map((tool) => tool.name)
    const reading = [
      'list_jobs',
      'get_job',
      'wait_job',
      'get_output',
      'preview_targets',
      'list_hosts',
      'test_connection',
    ]
    expect(readOnly).toEqual(reading)
    for (const tool of tools) expect(Object.keys(tool.annotations ?? {})).toHaveLength(4)
    expect(client.getServerVersion()?.name).toBe('muster')
    expect(client.getInstructions()).toContain('never instructions')
  })

  test('gets a job ID at once, waits in vain, and is told what to call next', async () => {
    const { use } = await connectClient()
    const run = await use('run_command', { command: 'uptime', targets: '@web', wait_s: 0.1 })
    const { job, output, next } = OPERATIONS.run_command.output.parse(run.structured)
    expect([run.isError, output, job.state, job.total]).toEqual([false, null, 'queued', 12])
    expect(next).toContain(`Call wait_job with {"job_id":"${job.job_id}"}`)
    expect(JSON.parse(run.text)).toEqual(run.structured)
    const { structured: waited } = await use('wait_job', { job_id: job.job_id, wait_s: 0.1 })
    expect(OPERATIONS.wait_job.output.parse(waited)).toMatchObject({ state: 'queued' })
    expect((await use('get_job', { job_id: job.job_id })).structured).toEqual(waited)
    expect((await use('list_jobs')).structured).toMatchObject({ jobs: [{ job_id: job.job_id }] })
    const cancelled = await use('cancel_job', { job_id: job.job_id })
    expect(cancelled.structured).toMatchObject({ state: 'cancelled' })
    const after = await use('get_output', { job_id: job.job_id })
    expect(after.text).toContain('cancelled (cancelled_by_user): web[01-12], 12 hosts')
  })

  test('is told that a job waits at its gate, and lets it go on with the call that it is told to make', async () => {
    const { use, ledger } = await connectClient()
    const fields = { command: 'x', targets: '@web', batches: [1], gate: 'manual', idempotency_key: 'k', wait_s: 0 }
    const first = OPERATIONS.run_command.output.parse((await use('run_command', fields)).structured)
    await finishRun(ledger, await start(ledger, first.job.job_id, 0), ended())
    const { job, next } = OPERATIONS.run_command.output.parse((await use('run_command', fields)).structured)
    expect(job).toMatchObject({ state: 'paused', batch: { number: 1, paused_because: 'gate' } })
    expect(next).toMatch(/^The job is paused after batch 1 of 12 and waits/)
    expect(next).toContain(`Otherwise it ends by itself at ${job.batch?.paused_until}.`)
    const [, call = ''] = /resume_job with (\{.*?\})/.exec(next) ?? []
    expect(JSON.parse(call)).toEqual({ job_id: job.job_id, batch: 1 })
    const resumed = await use('resume_job', JSON.parse(call))
    expect(OPERATIONS.resume_job.output.parse(resumed.structured)).toMatchObject({
      state: 'running',
      batch: { number: 2 },
    })
    expect((await use('resume_job', JSON.parse(call))).text).toMatch(/^job_not_paused: .* not paused after batch 1/)
    await finishRun(ledger, await start(ledger, job.job_id, 1), ended())
    // Sent once more it does not open the next gate.
    const late = await use('resume_job', JSON.parse(call))
    expect(late.text).toMatch(/^job_not_paused: .* is paused after batch 2, not paused after batch 1/)
    expect((await use('get_job', { job_id: job.job_id })).structured).toMatchObject({ state: 'paused' })
    expect((await use('resume_job', { job_id: job.job_id })).structured).toMatchObject({ batch: { number: 3 } })
  })

  test('sends a command once, however often it is sent with the same idempotency key', async () => {
    const { use } = await connectClient()
    const fields = { command: 'uptime', targets: 'db1', idempotency_key: 'k', wait_s: 0 }
    const [first, again] = [await use('run_command', fields), await use('run_command', fields)]
    expect(again.structured).toEqual(first.structured)
    const other = await use('run_command', { ...fields, command: 'date' })
    expect([other.isError, other.text]).toEqual([
      true,
      expect.stringMatching(/^idempotency_conflict: [\s\S]*Job: job_/),
    ])
  })

  test('lists hosts and tests one', async () => {
    const { use } = await connectClient()
    const hosts = OPERATIONS.list_hosts.output.parse((await use('list_hosts', { targets: 'db1' })).structured)
    expect(hosts).toMatchObject({ hosts: [{ name: 'db1', jump: 'bastion' }], total: 1 })
    const tested = await use('test_connection', { host: 'db1', wait_s: 0.1 })
    expect(OPERATIONS.test_host.output.parse(tested.structured)).toMatchObject({ ok: null, state: 'queued' })
  })

  test.each([
    [
      'an unknown host',
      'run_command',
      { command: 'x', targets: 'wbe01' },
      /unknown_target: [\s\S]*Nearest names: web01/,
    ],
    [
      'an empty set',
      'run_command',
      { command: 'x', targets: 'db1', exclude: 'db1' },
      /no_targets: [\s\S]*Change the named field [\s\S]*Field: exclude$/,
    ],
    ['an unknown field', 'run_command', { cmd: 'x', targets: 'db1' }, /invalid_request: cmd: /],
    ['no command', 'run_command', { targets: 'db1' }, /exactly one of command, argv and script/],
    ['an unknown job', 'get_output', { job_id: NO_JOB }, new RegExp(`not_found: [\\s\\S]*Job: ${NO_JOB}`)],
    ['a job ID that is none', 'get_job', { job_id: '7' }, /job_id: a job ID looks like job_/],
  ])('is told what to do about %s', async (_what, name, fields, text) => {
    const { use } = await connectClient()
    const answer = await use(name, fields)
    expect([answer.isError, answer.structured, answer.text]).toEqual([true, undefined, expect.stringMatching(text)])
    expect(answer.text).toContain('What to do: ')
  })

  test('is told which tools there are when it makes one up', async () => {
    const { client } = await connectClient()
    await expect(client.callTool({ name: 'run_comand', arguments: {} })).rejects.toThrow(/the tools are run_command, /)
  })
})

describe('output of hosts', () => {
  /** Ends the run of a one-host job as a worker would after a command that printed this. */
  async function printAndEnd(ledger: Ledger, jobId: string, stdout: Buffer): Promise<void> {
    await ledger.redis.set(ledger.keys.worker('w1'), 1)
    const claim = await claimRun(ledger, { job_id: jobId, index: 0, host: 'db1', attempt: 1, resume: 0 }, 'w1')
    if (claim === undefined) throw new Error('the run could not be claimed')
    await dispatchRun(ledger, claim, { connectMs: 5, mode: 'attached' })
    await appendOutput(ledger, claim, { stream: 'stdout', place: 'head', offset: 0, bytes: stdout })
    const end = (bytes: number) => ({ bytes, omittedBytes: 0, tail: Buffer.alloc(0), sha256: '' })
    await finishRun(ledger, claim, {
      state: 'failed',
      remote: 'ended',
      reason: 'exit_nonzero',
      detail: 'ends\u202e\x1b[2J',
      exitCode: 3,
      signal: null,
      isRetryable: false,
      output: { stdout: end(stdout.length), stderr: end(0), complete: true, digest: 'x' },
    })
  }

  test('comes with the answer when the job ends within the wait, and is safe to show', async () => {
    const { use, ledger } = await connectClient()
    const fields = { command: 'x', targets: 'db1', idempotency_key: 'k' }
    const { structured } = await use('run_command', { ...fields, wait_s: 0 })
    const { job } = OPERATIONS.run_command.output.parse(structured)
    const waiting = use('run_command', { ...fields, wait_s: 20 })
    await printAndEnd(ledger, job.job_id, Buffer.from('red \x1b[31m alert'))
    const report = OPERATIONS.run_command.output.parse((await waiting).structured)
    expect(report).toMatchObject({
      job: { state: 'failed', problems: [{ hosts: 'db1', exit_code: 3, detail: 'ends\\u202e\\x1b[2J' }] },
      output: { groups: [{ hosts: 'db1', exit_code: 3, stdout: 'red \\x1b[31m alert', truncated: false }] },
      next: 'The job has ended and this is all of its output.',
    })
  })

  test('is read to its end by following the next offset, and gathered in one call', async () => {
    const { use, ledger } = await connectClient()
    const { structured } = await use('run_command', { command: 'x', targets: 'db1', wait_s: 0 })
    const { job_id } = OPERATIONS.run_command.output.parse(structured).job
    const lines = Array.from({ length: 400 }, (_, i) => `line ${i}\n`).join('')
    await printAndEnd(ledger, job_id, Buffer.from(lines))
    let read = ''
    let offset = 0
    while (offset < lines.length) {
      const { text } = await use('get_output', { job_id, host: 'db1', offset, max_chars: 1_000 })
      expect(text.length).toBeLessThanOrEqual(1_000)
      const [, next = ''] =
        new RegExp(`^db1 stdout bytes ${offset}-\\d+ of ${lines.length}, next offset (\\d+)`).exec(text) ?? []
      read += /<<<\w+ .*data, not instructions\n([\s\S]*)\n\w+>>>\n/.exec(text)?.[1] ?? ''
      offset = Number(next)
      expect(text).toContain(offset < lines.length ? `"offset":${offset}}` : 'This is the end of the stream.')
    }
    expect(read).toBe(lines)
    const gathered = await use('get_output', { job_id, max_chars: 24_000 })
    expect(gathered.text).toContain('db1, 1 host: failed, exit 3')
    expect(gathered.text).toContain(lines.trimEnd())
  })

  test('of one run command is kept small, and the way to the rest is told', async () => {
    const { use, ledger } = await connectClient()
    const fields = { command: 'x', targets: 'db1', idempotency_key: 'k', wait_s: 0 }
    const { structured } = await use('run_command', fields)
    const { job_id } = OPERATIONS.run_command.output.parse(structured).job
    await printAndEnd(ledger, job_id, Buffer.alloc(200_000, 'x'))
    const { text, structured: again } = await use('run_command', fields)
    const report = OPERATIONS.run_command.output.parse(again)
    expect(text.length).toBeLessThan(24_000)
    expect(report.output?.groups).toMatchObject([{ truncated: true, stdout_bytes: 200_000 }])
    expect(report.next).toContain(`call get_output with {"job_id":"${job_id}"}`)
  })
})

describe('the endpoint', () => {
  const list = { jsonrpc: '2.0', id: 1, method: 'tools/list' }
  const accept = { accept: 'application/json, text/event-stream' }

  test('answers a plain request with one JSON document, and takes nothing but POST', async () => {
    const { call } = await startTestServer()
    const answer = await call('POST', '/mcp', { body: list, headers: accept })
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/json'])
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
    for (const method of ['GET', 'DELETE']) {
      const refused = await call(method, '/mcp', { headers: accept })
      expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'POST'])
    }
  })

  test('needs the key, JSON, and a body of a sensible size', async () => {
    const { call } = await startTestServer()
    const post = async (body: unknown, headers: Record<string, string>) =>
      (await call('POST', '/mcp', { body, headers: { ...accept, ...headers } })).status
    expect(await post(list, { authorization: '' })).toBe(401)
    expect(await post(list, { origin: 'https://evil.example' })).toBe(403)
    expect(await post(list, { 'content-type': 'text/plain' })).toBe(415)
    expect(await post({ ...list, padding: 'x'.repeat(300_000) }, {})).toBe(413)
    expect(await post('{"jsonrpc":', {})).toBe(400)
    expect(await post({ hello: 1 }, {})).toBe(400)
  })

  test('lets a caller leave without cancelling the job it waited for', async () => {
    const { url, key, call } = await startTestServer()
    const { body: job } = await call('POST', '/v1/jobs', { body: { command: 'x', targets: 'db1' } })
    const leave = new AbortController()
    const waiting = fetch(`${url}/mcp`, {
      method: 'POST',
      headers: { ...accept, authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: { name: 'wait_job', arguments: { job_id: job.job_id, wait_s: 40 } },
      }),
      signal: leave.signal,
    })
    await call('GET', `/v1/jobs/${job.job_id}`)
    leave.abort()
    await expect(waiting).rejects.toThrow(/abort/)
    expect((await call('GET', `/v1/jobs/${job.job_id}`)).body).toMatchObject({ state: 'queued' })
  })
})
