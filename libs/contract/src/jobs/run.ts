/**
 * A run: one job on one host. Holds the words for where a run stands and why. Only the Lua scripts of libs/ledger
 * change the state of a run.
 */
import { z } from 'zod'
import { Reached } from './reached.ts'
import { readBy } from './readers.ts'

const TERMINAL_STATES = ['succeeded', 'failed', 'timed_out', 'unreachable', 'cancelled', 'skipped', 'lost'] as const

/** The states a run can end in. A run never leaves one of these. */
export const TerminalRunState = z.enum(TERMINAL_STATES)
export type TerminalRunState = z.infer<typeof TerminalRunState>

/** Where a run stands; states in their usual order. */
export const RunState = z
  .enum(['pending', 'queued', 'connecting', 'running', 'retry_wait', ...TERMINAL_STATES])
  .meta({ id: 'RunState' })
export type RunState = z.infer<typeof RunState>

const TERMINAL: ReadonlySet<RunState> = new Set(TERMINAL_STATES)

/** Whether a run in this state has ended. */
export function isTerminalRun(state: RunState): boolean {
  return TERMINAL.has(state)
}

/** How far the command got on the host, as far as is known. `unknown`: it may have run. */
export const Remote = z.enum(['not_started', 'started', 'ended', 'unknown']).meta({ id: 'Remote' })
export type Remote = z.infer<typeof Remote>

/** Why a run ended as it did. Absent for `succeeded`. */
export const Reason = z
  .enum([
    'exit_nonzero',
    'signal',
    'exec_timeout',
    'idle_timeout',
    'job_timeout',
    'output_limit',
    'health_check',
    'dns_error',
    'dns_timeout',
    'conn_refused',
    'conn_timeout',
    'kex_failed',
    'host_key_unknown',
    'host_key_changed',
    'auth_failed',
    'channel_refused',
    'jump_failed',
    'sudo_password_required',
    'sudo_denied',
    'conn_lost',
    'worker_lost',
    'host_rebooted',
    'result_missing',
    'kill_unconfirmed',
    'error_budget',
    'start_deadline',
    'breaker_open',
    'host_disabled',
    'cancelled_by_user',
    'policy_denied',
    'key_revoked',
    'secrets_unreadable',
    'signature_invalid',
    'end_unverified',
  ])
  .meta({ id: 'Reason' })
export type Reason = z.infer<typeof Reason>

/** What the schema says of a field that a caller without jobs:read:output gets as null. */
export const NULL_WITHOUT_OUTPUT = 'Null to a key without jobs:read:output.'

const Time = z.iso.datetime().nullable()

/** One output stream of a run, as far as it is known. */
export const StreamSummary = z
  .object({
    bytes: z.number().int().describe('Bytes the command wrote so far, kept or not.'),
    omitted_bytes: z.number().int().describe('Bytes that were not kept, between head and tail; 0 below the limit.'),
    sha256: readBy(
      'jobs:read:output',
      z.string().nullable().describe('SHA-256 of all bytes, kept or not, in hexadecimal; null until the end.'),
    ),
  })
  .meta({ id: 'StreamSummary' })
export type StreamSummary = z.infer<typeof StreamSummary>

/** A result that came after the run had been settled without it. It changes nothing. */
export const LateResult = z
  .object({
    state: TerminalRunState,
    remote: Remote,
    reason: Reason.nullable(),
    detail: readBy('jobs:read:output', z.string().nullable()),
    exit_code: z.number().int().nullable(),
    signal: z.string().nullable(),
    worker: z.string(),
    at: z.iso.datetime(),
  })
  .meta({ id: 'LateResult' })
export type LateResult = z.infer<typeof LateResult>

/**
 * Who vouches for the end of a run. `worker`: its signature covers how the run ended, and on which host. `ledger`: the
 * run ended without a worker, and Redis alone says so.
 */
export const Voucher = z.enum(['worker', 'ledger']).meta({ id: 'Voucher' })
export type Voucher = z.infer<typeof Voucher>

/** What keeps a command running: the connection that started it (attached), or the host itself (durable). */
export const RunMode = z.enum(['attached', 'durable']).meta({ id: 'RunMode' })
export type RunMode = z.infer<typeof RunMode>

/** A run as every surface shows it. */
export const Run = z
  .object({
    job_id: z.string(),
    host: z.string().describe('The name in the inventory.'),
    index: z.number().int().describe('Position of the host in the frozen set of the job, from 0.'),
    state: RunState,
    remote: Remote,
    safe_to_retry: z.boolean().describe('Whether the command certainly has not started.'),
    reason: Reason.nullable(),
    vouched_by: Voucher.nullable().describe(
      'Null until the end; where the end is unverified; and from a server without public keys of workers.',
    ),
    detail: readBy(
      'jobs:read:output',
      z
        .string()
        .nullable()
        .describe(`The reason in words, for people; may change between versions. ${NULL_WITHOUT_OUTPUT}`),
    ),
    exit_code: z.number().int().nullable().describe('The real one, or null when the host did not report any.'),
    signal: z.string().nullable().describe('The signal that ended the command, such as "TERM".'),
    attempt: z.number().int().describe('Which try this is, from 1; 0 while the run is pending.'),
    retry_at: Time.describe('When the next attempt is due; null unless the state is retry_wait.'),
    mode: RunMode.nullable().describe('Null until the command was sent.'),
    notice: z.string().nullable().describe('What else to know, such as why durable mode was not available.'),
    late_result: LateResult.nullable().describe('A result that arrived after the run had been settled.'),
    worker: z.string().nullable().describe('The worker that holds or held the run.'),
    queued_at: Time,
    connecting_at: Time,
    started_at: Time.describe('When the command was about to be sent to the host.'),
    ended_at: Time.describe('When the end was known here; for a run that was fetched later or is lost, that is later.'),
    connect_ms: z.number().int().nullable().describe('How long reaching and authenticating took.'),
    reached: Reached.nullable().describe('Null where no attempt got as far as a TCP connection.'),
    duration_ms: z.number().int().nullable().describe('From started_at to ended_at; null for a lost run.'),
    stdout: StreamSummary,
    stderr: StreamSummary,
    output_complete: z.boolean().describe('False when output may be missing though the run ended.'),
  })
  .meta({ id: 'Run' })
export type Run = z.infer<typeof Run>

/** Whether a run can be retried without running the command twice: it certainly has not started. */
export function isSafeToRetry(remote: Remote): boolean {
  return remote === 'not_started'
}

/** The detail of a run whose command exited with this status. It adds nothing where the status is shown. */
export function exitDetail(exitCode: number): string {
  return `exit status ${exitCode}`
}

/** The detail of a run whose command a signal ended. @param signal its name, such as `SIGKILL`, or words for it */
export function signalDetail(signal: string): string {
  return `the command was ended by ${signal}`
}
