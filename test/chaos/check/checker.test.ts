/** The judge judged: it is shown every kind of lie. A checker that finds nothing proves nothing. */
import { createHash } from 'node:crypto'
import type { Job, Run } from '@muster/contract'
import { expect, test } from 'vitest'
import { RUN_ENDED } from '../../support/ssh/scripted-server.ts'
import { type Kind, type PlannedJob, planHosts } from '../commands.ts'
import { expectedOutput } from '../script.ts'
import { parseNotes } from '../witness.ts'
import { checkJob, type Figure, type JobReading } from './checker.ts'
import type { StreamReading } from './output-check.ts'

const STARTED_MS = Date.parse('2026-01-01T00:00:00.000Z')
const ENDED_AT = '2026-01-01T00:00:05.000Z'
const LATE_MS = STARTED_MS + 9_000

const LOST = { state: 'lost', remote: 'unknown', reason: 'worker_lost', exit_code: null } as const
const NOT_STARTED = { state: 'cancelled', remote: 'not_started', safe_to_retry: true, exit_code: null } as const
const STOPPED = { state: 'timed_out', reason: 'exec_timeout', signal: 'TERM', exit_code: null } as const
const SEGV = { state: 'failed', reason: 'signal', signal: 'SEGV', exit_code: null } as const
const FAILED = { state: 'failed', reason: 'exit_nonzero', exit_code: 7 } as const

/** What is told and seen of one job on one host; what is left out is as it should be. */
type Story = {
  readonly kind?: Kind
  readonly notes?: readonly string[]
  readonly lateNote?: boolean
  readonly isAlive?: boolean
  readonly jobIds?: readonly string[]
  readonly run?: Partial<Run>
  readonly job?: Partial<Pick<Job, 'state' | 'counts' | 'ended_at'>> | 'gone'
  /** Changes what is told of the output. */
  readonly stdout?: (reading: StreamReading) => StreamReading
}

const truths: Array<[string, Story]> = [
  ['success', {}],
  ['lost, and started', { notes: ['start'], run: LOST }],
  ['lost, and ended', { run: LOST }],
  ['lost, and running still', { notes: ['start'], run: LOST, isAlive: true, lateNote: true }],
  ['never started', { notes: [], run: NOT_STARTED }],
  ['failed', { kind: 'fail', notes: ['start', 'end 7'], run: FAILED }],
  ['ended by a signal', { kind: 'signal', notes: ['start', 'end SIGSEGV'], run: SEGV }],
  ['stopped', { kind: 'loop', notes: ['start', 'alive'], run: STOPPED }],
  ['head and tail of a long output', { kind: 'flood' }],
]
test.each(truths)('nothing is found in a true story: %s', (_what, story) => {
  expect(figuresOf(story)).toEqual([])
})

const lies: Array<[Figure, string, Story]> = [
  ['duplicates', 'two starts', { notes: ['start', 'start', 'end 0'] }],
  ['duplicates', 'two jobs for one idempotency key', { jobIds: ['job_a', 'job_b'] }],
  ['not_ended', 'a job that goes on', { job: { state: 'running', ended_at: null } }],
  ['not_ended', 'a job that is gone', { job: 'gone' }],
  ['not_ended', 'a run that goes on in a job that has ended', { run: { ended_at: null } }],
  ['false_successes', 'success, and no end', { notes: ['start'] }],
  ['false_successes', 'success without an exit status', { run: { exit_code: null } }],
  ['false_successes', 'success, and no start', { notes: [] }],
  ['false_successes', 'success of a command that failed', { notes: ['start', 'end 3'] }],
  ['false_successes', 'another exit status', { notes: ['start', 'end 3'], run: FAILED }],
  ['false_successes', 'an exit status, and there was none', { notes: ['start'], run: { ...LOST, exit_code: 0 } }],
  ['false_successes', 'another signal', { notes: ['start', 'end SIGKILL'], run: SEGV }],
  ['false_successes', 'a job that succeeded though its run did not', { run: LOST, job: { state: 'succeeded' } }],
  ['false_successes', 'an exit status that failed it and is not known', { run: { ...FAILED, exit_code: null } }],
  ['false_successes', 'a count of runs that are not', { job: { counts: countsOf('lost') } }],
  ['false_successes', 'a run on a host that was not asked for', { run: { host: 'h0002' } }],
  ['false_not_starteds', 'never started, and it did', { notes: ['start'], run: NOT_STARTED }],
  [
    'false_not_starteds',
    'never started, but not safe to retry, and it did',
    { notes: ['start'], run: { ...NOT_STARTED, safe_to_retry: false } },
  ],
  ['false_not_starteds', 'safe to retry, and it started', { run: { safe_to_retry: true } }],
  ['false_endeds', 'a note after the end', { notes: ['start'], run: STOPPED, lateNote: true }],
  ['false_endeds', 'a process after the end', { notes: ['start'], run: STOPPED, isAlive: true }],
  ['output_mismatches', 'too few bytes', { stdout: (told) => ({ ...told, bytes: told.bytes - 1 }) }],
  ['output_mismatches', 'nothing kept', { stdout: (told) => ({ ...told, pieces: [] }) }],
  ['output_mismatches', 'another byte', { stdout: spoilLastByte }],
  ['output_mismatches', 'another byte of the tail', { kind: 'flood', stdout: spoilLastByte }],
  ['output_mismatches', 'another digest', { stdout: (told) => ({ ...told, sha256: '00' }) }],
  ['output_mismatches', 'no digest', { stdout: (told) => ({ ...told, sha256: null }) }],
  ['output_mismatches', 'less kept than the limit', { kind: 'flood', stdout: (told) => ({ ...told, pieces: [] }) }],
  ['output_mismatches', 'less kept than could be, and so told', { stdout: keepNothing }],
  ['output_mismatches', 'no head', { kind: 'flood', stdout: (told) => keepFrom(told, told.bytes - 1_024) }],
  ['output_mismatches', 'no tail', { kind: 'flood', stdout: (told) => keepFrom(told, 0) }],
  [
    'output_mismatches',
    'no word of what is left out',
    { kind: 'flood', stdout: (told) => ({ ...told, omittedBytes: 0 }) },
  ],
  [
    'output_mismatches',
    'bytes a stopped command never wrote',
    { notes: ['start'], run: STOPPED, stdout: spoilLastByte },
  ],
]
test.each(lies)('%s are found: %s', (figure, _what, story) => {
  expect(figuresOf(story)).toContain(figure)
})

test('a line that is no note is an error, not a silent gap', () => {
  expect(() => parseNotes('c00001 127.0.1.1 170 start\nc00001 127.0.1.1 17')).toThrow('not a note')
})

function figuresOf(story: Story): Figure[] {
  const planned = jobOf(story.kind ?? 'quick')
  const run = runOf(story.run ?? {})
  const expected = expectedOutput(planned, { address: '127.0.1.1', isMerged: false })
  const hasOutput = run.remote !== 'not_started'
  const stdout = readingOf(hasOutput ? expected.stdout : Buffer.alloc(0), planned.outputLimitBytes)
  const stderr = readingOf(hasOutput ? expected.stderr : Buffer.alloc(0), planned.outputLimitBytes)
  const state = run.state === 'succeeded' ? 'succeeded' : 'partial'
  const told = { state, created_at: ENDED_AT, ended_at: ENDED_AT, counts: countsOf(run.state) } as const
  const reading: JobReading = {
    planned,
    jobIds: story.jobIds ?? ['job_a'],
    report: story.job === 'gone' ? undefined : { ...told, ...story.job },
    runs: [{ run, output: { stdout: story.stdout?.(stdout) ?? stdout, stderr } }],
  }
  const lines = (story.notes ?? ['start', 'end 0']).map((note) => `${planned.id} 127.0.1.1 ${STARTED_MS} ${note}\n`)
  if (story.lateNote) lines.push(`${planned.id} 127.0.1.1 ${LATE_MS} alive\n`)
  const alive = new Set(story.isAlive ? [`${planned.id} 127.0.1.1`] : [])
  return checkJob(reading, { notes: parseNotes(lines.join('')), alive }).map(({ figure }) => figure)
}

function jobOf(kind: Kind): PlannedJob {
  return {
    id: 'c00001',
    kind,
    hosts: planHosts(1),
    concurrency: 1,
    durable: false,
    execTimeoutS: 60,
    outputLimitBytes: kind === 'flood' ? 1_024 : 1_048_576,
    seconds: 1,
    exitCode: 7,
    signal: 'SEGV',
    lines: kind === 'flood' ? { stdout: 500, stderr: 3 } : { stdout: 0, stderr: 0 },
    cancel: undefined,
    isRepeated: false,
    isAlone: false,
  }
}

function runOf(told: Partial<Run>): Run {
  const empty = { bytes: 0, omitted_bytes: 0, sha256: null }
  const own = { job_id: 'job_a', host: 'h0001', ended_at: ENDED_AT, stdout: empty, stderr: empty }
  return { ...RUN_ENDED, ...own, ...told }
}

function countsOf(state: Run['state']): Job['counts'] {
  const none = { pending: 0, queued: 0, connecting: 0, running: 0, retry_wait: 0, skipped: 0, unreachable: 0 }
  return { ...none, succeeded: 0, failed: 0, timed_out: 0, cancelled: 0, lost: 0, [state]: 1 }
}

/** As it should be: everything below the limit, head and tail above it. */
function readingOf(text: Buffer, limitBytes: number): StreamReading {
  const sha256 = createHash('sha256').update(text).digest('hex')
  const whole = { bytes: text.length, omittedBytes: Math.max(0, text.length - limitBytes), sha256 }
  if (whole.omittedBytes === 0) return { ...whole, pieces: text.length === 0 ? [] : [{ offset: 0, data: text }] }
  const tailAt = text.length - limitBytes / 2
  const head = { offset: 0, data: text.subarray(0, limitBytes / 2) }
  return { ...whole, pieces: [head, { offset: tailAt, data: text.subarray(tailAt) }] }
}

function spoilLastByte(told: StreamReading): StreamReading {
  const pieces = told.pieces.map(({ offset, data }) => ({
    offset,
    data: Buffer.concat([data.subarray(0, -1), Buffer.from('~')]),
  }))
  return { ...told, pieces }
}

/** As much as the limit allows, but all of it from one place. */
function keepFrom(told: StreamReading, offset: number): StreamReading {
  const text = expectedOutput(jobOf('flood'), { address: '127.0.1.1', isMerged: false }).stdout
  return { ...told, pieces: [{ offset, data: text.subarray(offset, offset + 1_024) }] }
}

/** Consistent, and too little. */
function keepNothing(told: StreamReading): StreamReading {
  return { ...told, omittedBytes: told.bytes, pieces: [] }
}
