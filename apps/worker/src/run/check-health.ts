/**
 * The health check after a command that succeeded: the same connection, user and directory, another command line. What it
 * prints is told in the detail when it fails, and is no output of the run.
 *
 * Never makes anything better: an end that is no success stays as it is.
 */

import { type ExecEnd, exec, printable, type SshConnection, type Sudo } from '@muster/ssh'
import type { HeldRun } from '../hold/held-runs.ts'
import type { RunSpec } from '../hold/run-specs.ts'
import { commandOf } from '../reach/command-of.ts'

/** Kept of what the check prints. */
const OUTPUT_LIMIT_BYTES = 65_536
/** Shown of it. */
const SHOWN_CHARS = 300

/**
 * The end of the run: `failed` for its health check when that did not say that the host is well. `stopped`: it was stopped
 * before it had answered, which says nothing of the host.
 */
export async function checkHealth(
  connection: SshConnection,
  { run, spec, sudo, end }: { run: HeldRun; spec: RunSpec; sudo: Sudo | undefined; end: ExecEnd },
): Promise<ExecEnd | 'stopped'> {
  const { health_check: check, argv: _argv, script: _script, script_args: _args, stdin: _stdin, ...where } = spec
  if (check === undefined || end.state !== 'succeeded') return end
  const printed: Buffer[] = []
  const found = await exec(connection, commandOf({ ...where, command: check.command }, sudo), {
    execTimeoutMs: check.timeout_s * 1_000,
    killGraceMs: spec.kill_grace_s * 1_000,
    outputLimitBytes: OUTPUT_LIMIT_BYTES,
    signal: run.signal,
    onOutput: (_stream, bytes) => {
      printed.push(bytes)
    },
  })
  if (found.state === 'succeeded') return end
  if (run.signal.aborted) return 'stopped'
  const text = printable(Buffer.concat(printed).toString('utf8').trim().slice(-SHOWN_CHARS))
  const detail = `${whatItCameTo(found)}${text === '' ? '' : `: ${text}`}`
  return { ...end, state: 'failed', reason: 'health_check', detail }
}

function whatItCameTo({ state, exitCode, signal, detail }: ExecEnd): string {
  if (state === 'timed_out') return `the health check took too long and was killed (${detail})`
  if (exitCode !== null) return `the health check ended with exit code ${exitCode}`
  if (signal !== null) return `the health check was ended by ${signal}`
  return `the health check gave no answer (${detail ?? 'no reason was told'})`
}

/** The end of a run whose command had succeeded, and whose health check was stopped, by what stopped it. */
export function endOfStoppedCheck(run: HeldRun, end: ExecEnd): ExecEnd {
  const detail = 'the command had succeeded; its health check was stopped before it had answered'
  switch (run.stopCause()) {
    case 'job_timeout':
      return { ...end, state: 'timed_out', reason: 'job_timeout', detail }
    case 'cancelled_by_user':
    case 'error_budget':
      return { ...end, state: 'cancelled', reason: 'cancelled_by_user', detail }
    default:
      return { ...end, state: 'lost', reason: 'worker_lost', detail }
  }
}
