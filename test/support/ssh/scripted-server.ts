/**
 * A server that answers as it is told, turn by turn, and a command line that talks to it: for what a real one does only
 * now and then. The command line never sleeps; the clock that vitest has in its hands moves instead.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { MusterError, RolloutOptions, type Run, RunState, toProblem } from '@muster/contract'
import { onTestFinished, vi } from 'vitest'
import { z } from 'zod'
import { createClient } from '../../../apps/cli/src/client/client.ts'
import type { Cli } from '../../../apps/cli/src/line/command.ts'

/** The job of this server. */
export const JOB_ID = `job_${'a'.repeat(26)}`
/** It, while it runs. */
export const JOB = {
  job_id: JOB_ID,
  state: 'running',
  title: 't',
  targets: 'web01',
  total: 1,
  counts: { ...Object.fromEntries(RunState.options.map((state) => [state, 0])), running: 1 },
  selection: { exclude: null, pick: null, order: 'given', limit: null, seed: null },
  rerun_of: null,
  concurrency: 1,
  budget: { max_errors: 1, errors: 0, exceeded: false, on_budget: 'drain' },
  batch: null,
  changes: 1,
  exec_timeout_s: 300,
  owner: 'first',
  submitted_by: 'k',
  traceparent: null,
  created_at: '2026-01-01T00:00:00.000Z',
  started_at: null,
  ended_at: null,
  cancel_requested_at: null,
  links: { self: '', runs: '', output: '', events: '' },
  command: 'true',
  arguments: null,
  options: RolloutOptions.parse({}),
  problems: [],
  problems_omitted: 0,
  notices: [],
  tripped_by: null,
  reruns: [],
}

/** One answer of the server. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** An answer with this body. */
export const answer = (response: ServerResponse, status: number, body: unknown) =>
  void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
/** The answer of a server whose Redis is away. */
export const away: Handler = (_, response) =>
  answer(response, 503, toProblem(new MusterError('ledger_unavailable', 'Redis cannot be reached')))

/** A server that answers in turn as it is told, and the last way ever after; and a command line that talks to it. */
export async function scripted(...turns: Handler[]) {
  const bodies: string[] = []
  const paths: string[] = []
  let asked = 0
  const server = createServer(async (request, response) => {
    paths.push(request.url ?? '')
    bodies.push(Buffer.concat(await request.toArray()).toString())
    turns[Math.min(asked, turns.length - 1)]?.(request, response)
    asked += 1
  })
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = z.object({ port: z.number() }).parse(server.address())
  const said: string[] = []
  let out = ''
  let sleptMs = 0
  const cli: Cli = {
    client: createClient({ url: `http://127.0.0.1:${port}`, apiKey: 'k' }),
    hasTerminal: false,
    askSecret: async () => '',
    env: {},
    interrupts: {
      count: () => 0,
      signal: () => new AbortController().signal,
      sleep: async (ms) => {
        sleptMs += Math.max(ms, 0)
        vi.advanceTimersByTime(Math.max(ms, 0))
      },
      again: async () => false,
    },
    out: (text) => {
      out += text
    },
    isTerminal: false,
    say: (line) => void said.push(line),
    stderr: { write: () => true },
  }
  return { cli, bodies, paths, said, asked: () => asked, out: () => out, sleptMs: () => sleptMs }
}

/** The first output of its host. */
export const PAGE = {
  job_id: JOB_ID,
  host: 'web01',
  stream: 'stdout',
  offset: 0,
  next_offset: 4,
  omitted_bytes: 0,
  total_bytes: 4,
  encoding: 'utf8',
  data: 'one\n',
  started_at: '2026-01-01T00:00:01.000Z',
  eof: false,
  unverified: false,
}
const stream = { bytes: 4, omitted_bytes: 0, sha256: null }
/** The run of its host, when it has ended. */
export const RUN_ENDED = {
  job_id: JOB_ID,
  host: 'web01',
  index: 0,
  state: 'succeeded',
  remote: 'ended',
  safe_to_retry: false,
  reason: null,
  vouched_by: 'worker',
  detail: null,
  exit_code: 0,
  signal: null,
  attempt: 1,
  retry_at: null,
  mode: 'attached',
  notice: null,
  late_result: null,
  worker: 'w1',
  queued_at: null,
  connecting_at: null,
  started_at: PAGE.started_at,
  ended_at: '2026-01-01T00:00:09.000Z',
  connect_ms: 1,
  reached: null,
  duration_ms: 1,
  stdout: stream,
  stderr: stream,
  output_complete: true,
} satisfies Run
/** A stream with these events, which then closes. */
export const events =
  (...sent: { event: string; data: unknown }[]): Handler =>
  (_, response) => {
    const blocks = sent.map(({ event, data }) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
    response.writeHead(200, { 'content-type': 'text/event-stream' }).end(`retry: 1000\n\n${blocks.join('')}`)
  }
