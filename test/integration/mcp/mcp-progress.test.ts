/** Progress of waits, for callers that gave a token, in both generations of the protocol. */
import { cancelJob, finishRun } from '@muster/ledger'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { ended, exited, start } from '../../support/ledger/held-run.ts'
import { connectLegacySdk, connectModernSdk, type Door } from '../../support/mcp/mcp-clients.ts'
import { GENERATIONS, type Generation, wireRequest } from '../../support/mcp/mcp-requests.ts'
import { startTestServer } from '../../support/server/server.ts'

type Call = { name: string; arguments: Record<string, unknown> }
type Step = { progress: number; total?: number | undefined; message?: string | undefined }

const Message = z.looseObject({
  method: z.string().optional(),
  params: z.looseObject({ progressToken: z.unknown(), progress: z.number() }).optional(),
  result: z.looseObject({ structuredContent: z.looseObject({ state: z.string() }) }).optional(),
})

async function startWithJob(waitS = 12) {
  const server = await startTestServer()
  const { body } = await server.call('POST', '/v1/jobs', { body: { command: 'x', targets: '@web' } })
  const jobId = `${body.job_id}`
  return { ...server, jobId, wait: { name: 'wait_job', arguments: { job_id: jobId, wait_s: waitS } } }
}

/** The messages of a call with a token as they come in, each with its time. */
async function* streamOf({ url, key }: Door, generation: Generation, call: Call) {
  const { body, headers } = wireRequest({
    generation,
    method: 'tools/call',
    params: call,
    meta: { progressToken: 'mine' },
  })
  const answer = await fetch(`${url}/mcp`, {
    method: 'POST',
    headers: { ...headers, authorization: `Bearer ${key}` },
    body: JSON.stringify(body),
  })
  expect(answer.headers.get('content-type')).toContain('text/event-stream')
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of answer.body ?? []) {
    const atMs = performance.now()
    text += decoder.decode(chunk, { stream: true })
    const events = text.split('\n\n')
    text = events.pop() ?? ''
    for (const event of events) {
      const [, data] = /^data: (\{.*\})$/m.exec(event) ?? []
      if (data !== undefined) yield { atMs, ...Message.parse(JSON.parse(data)) }
    }
  }
}

describe.each(GENERATIONS)('a %s caller with a token', (generation) => {
  test('is told every 5 s how many hosts have ended', async () => {
    const { url, key, ledger, jobId, wait } = await startWithJob()
    await finishRun(ledger, await start(ledger, jobId, 0), ended())
    await finishRun(ledger, await start(ledger, jobId, 1), exited(1))
    await start(ledger, jobId, 2)
    const messages: z.infer<typeof Message>[] = []
    for await (const message of streamOf({ url, key }, generation, wait)) messages.push(message)
    const result = messages.pop()
    expect(result).toMatchObject({ id: 1, result: { structuredContent: { job_id: jobId, state: 'running' } } })
    expect(messages.length).toBeGreaterThan(0)
    for (const { method, params } of messages) {
      expect(method).toBe('notifications/progress')
      expect(params).toEqual({
        progressToken: 'mine',
        progress: expect.any(Number),
        total: 12,
        message: '2 of 12 hosts have ended, 1 of them failed; 9 queued, 1 running',
      })
    }
    const steps = messages.map(({ params }) => params?.progress ?? 0)
    for (const [at, step] of steps.entries()) expect(step).toBeGreaterThanOrEqual(5 * (at + 1))
  }, 60_000)

  test('gets the result a moment after what it was told last, however soon it is there', async () => {
    const { url, key, ledger, jobId, wait } = await startWithJob(40)
    let toldMs = Number.NaN
    for await (const message of streamOf({ url, key }, generation, wait)) {
      if (message.result === undefined) {
        toldMs = message.atMs
        await cancelJob(ledger, jobId)
      } else {
        expect(message.result.structuredContent.state).toBe('cancelled')
        expect(message.atMs - toldMs).toBeGreaterThan(200)
      }
    }
    expect(toldMs).not.toBeNaN()
  }, 60_000)
})

const PROGRESS_CALLS = {
  'a v1 client': async (door: Door, call: Call, onprogress: (step: Step) => void) =>
    (await connectLegacySdk(door)).callTool(call, undefined, { onprogress }),
  'a v2 client in legacy mode': async (door: Door, call: Call, onprogress: (step: Step) => void) =>
    (await connectModernSdk(door, 'legacy')).callTool(call, { onprogress }),
  'a v2 client in modern mode': async (door: Door, call: Call, onprogress: (step: Step) => void) =>
    (await connectModernSdk(door, 'auto')).callTool(call, { onprogress }),
} as const

test.each(Object.entries(PROGRESS_CALLS))('%s hears how the wait of a submit goes on', async (_name, useTool) => {
  const { url, key } = await startTestServer()
  const steps: Step[] = []
  const call = { name: 'run_command', arguments: { command: 'x', targets: '@web', wait_s: 7 } }
  const result = await useTool({ url, key }, call, (step) => steps.push(step))
  expect(result).toMatchObject({ structuredContent: { state: 'queued' } })
  expect(steps).toEqual([{ progress: expect.any(Number), total: 7, message: '0 of 12 hosts have ended; 12 queued' }])
})

test('nobody without a token is told anything', async () => {
  const { call, wait } = await startWithJob(6)
  for (const generation of GENERATIONS) {
    const answer = await call('POST', '/mcp', wireRequest({ generation, method: 'tools/call', params: wait }))
    expect(answer.headers.get('content-type')).toBe('application/json')
  }
})
