/** How one run and a list of runs look to a person, and how the command reads a stream of events. */

import { type JobEvent, OutputPage, Run } from '@muster/contract'
import { describe, expect, test } from 'vitest'
import { readEvents } from '../../../apps/cli/src/client/event-stream.ts'
import { runsText, runText } from '../../../apps/cli/src/render/render-runs.ts'

const JOB_ID = `job_${'a'.repeat(26)}`
const stream = { bytes: 0, omitted_bytes: 0, sha256: null }
const LOST = Run.parse({
  job_id: JOB_ID,
  host: 'web01',
  index: 0,
  state: 'lost',
  remote: 'unknown',
  safe_to_retry: false,
  reason: 'worker_lost',
  vouched_by: 'ledger',
  detail: null,
  exit_code: null,
  signal: null,
  attempt: 2,
  retry_at: null,
  mode: 'attached',
  notice: 'durable mode: the directory \x1b[2J cannot be written',
  late_result: {
    state: 'failed',
    remote: 'ended',
    reason: 'exit_nonzero',
    detail: 'its \x07 words',
    exit_code: 3,
    signal: null,
    worker: 'w\x07',
    at: '2026-01-01T00:00:09.000Z',
  },
  worker: 'w1',
  queued_at: null,
  connecting_at: null,
  started_at: '2026-01-01T00:00:00.000Z',
  ended_at: '2026-01-01T00:00:05.500Z',
  connect_ms: 12,
  reached: {
    address: '10.0.0.5',
    port: 22,
    jump: 'bast\x1bion',
    host_key: `SHA256:${'A'.repeat(43)}`,
    user: 'deploy',
    credentials: [
      { kind: 'key', fingerprint: `SHA256:${'B'.repeat(43)}` },
      { kind: 'password', fingerprint: null },
    ],
  },
  duration_ms: 5_500,
  stdout: { bytes: 9, omitted_bytes: 4, sha256: 'ab'.repeat(32) },
  stderr: stream,
  output_complete: false,
})

describe('one run', () => {
  test('tells what is known, in words, and nothing of a host can act on the terminal', () => {
    const text = runText(LOST)
    for (const line of [
      'state          lost, worker_lost',
      'because        the worker was lost before it had a result',
      'notice         durable mode: the directory ',
      'safe to retry  no: the command may have run',
      'attempt        2',
      `reached        10.0.0.5, port 22, through bast`,
      `; host key SHA256:${'A'.repeat(43)}\n`,
      `log-in         deploy, key SHA256:${'B'.repeat(43)} and password\n`,
      'started        2026-01-01T00:00:00.000Z',
      'settled        2026-01-01T00:00:05.500Z',
      `stdout         9 bytes, 4 of them not kept, SHA-256 ${'ab'.repeat(32)}`,
      'stderr         0 bytes\n',
      'output         some of it may be missing',
      'late result    failed, exit_nonzero, exit code 3, its ',
      ' words; reported by w',
    ])
      expect(text).toContain(line)
    expect(['\x1b', '\x07'].some((character) => text.includes(character))).toBe(false)
    // When a lost run ended nobody knows, so nobody knows what it took.
    expect(text).not.toMatch(/^(ended|took)/m)
  })

  test('that has ended tells how long it took, and that it has run', () => {
    const text = runText({ ...LOST, state: 'failed', remote: 'ended', reason: 'exit_nonzero', exit_code: 3 })
    expect(text).toContain('safe to retry  no: the command has run\n')
    expect(text).toMatch(/^ended +2026-01-01T00:00:05.500Z\ntook +5\.5 s$/m)
  })

  test('that never started is safe to run again; one that succeeded needs no such word', () => {
    const unstarted = { ...LOST, state: 'unreachable', remote: 'not_started', safe_to_retry: true } as const
    expect(runText(unstarted)).toContain('safe to retry  yes')
    expect(runText(unstarted)).not.toMatch(/^(started|took)/m)
    expect(runsText([unstarted])).toMatch(/^web01 +unreachable +– +2 +– /m)
    const good = { ...LOST, state: 'succeeded', reason: null, exit_code: 0, late_result: null, notice: null } as const
    expect(runText(good)).not.toMatch(/safe to retry|because|notice|late result|exit code/)
  })
})

test('a list of runs has a line for each, with what else is to be known', () => {
  const waiting = {
    ...LOST,
    host: 'web02',
    state: 'retry_wait',
    reason: 'conn_refused',
    detail: 'no\nanswer',
    retry_at: '2026-01-01T00:00:07.000Z',
    notice: null,
    late_result: null,
    duration_ms: null,
  } as const
  const lines = runsText([LOST, waiting]).split('\n')
  expect(lines).toHaveLength(4)
  expect(lines[1]).toMatch(/^web01 +lost +– +2 +– +the worker was lost .*; durable mode: .*; late result: failed/)
  expect(lines[2]).toMatch(/^web02 +waiting to retry +– +2 +– +no answer; next attempt at 2026/)
})

describe('a stream of events', () => {
  const page = OutputPage.parse({
    job_id: JOB_ID,
    host: 'web01',
    stream: 'stdout',
    offset: 0,
    next_offset: 5,
    omitted_bytes: 0,
    total_bytes: 5,
    encoding: 'utf8',
    data: 'ä\n\nb',
    started_at: '2026-01-01T00:00:00.000Z',
    unverified: false,
    eof: false,
  })
  const text =
    'retry: 1000\n\n: nothing new\n\n' +
    `event: output\nid: 5\ndata: ${JSON.stringify(page)}\n\n` +
    'event: later\ndata: {}\n\n' +
    `event: end\ndata: ${JSON.stringify(LOST)}\n\n` +
    'event: output\ndata: {"cut":'

  test.each([1, 2, 7, 10_000])('is read the same in pieces of %i bytes', async (size) => {
    const bytes = Buffer.from(text)
    async function* pieces() {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
    }
    const events: JobEvent[] = []
    let heard = 0
    const onBytes = () => {
      heard += 1
    }
    for await (const event of readEvents(pieces(), onBytes)) events.push(event)
    expect(events).toEqual([
      { event: 'output', data: page },
      { event: 'end', data: LOST },
    ])
    expect(heard).toBe(Math.ceil(bytes.length / size))
  })
})
