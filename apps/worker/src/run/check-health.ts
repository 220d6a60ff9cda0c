/**
 * The health check after a command that succeeded: another command line on the same connection, as the same user and in
 * the same directory. Its output is not part of the run's; if it fails, the run's detail quotes it.
 *
 * It never makes an end better: a run that did not succeed is not checked.
 */
import { type ExecEnd, exec, printable, type RemoteCommand, type SshConnection } from '@muster/ssh'
import type { HeldRun } from '../hold/held-runs.ts'
import type { ReadySpec } from '../hold/job-secrets.ts'

/** How much of what the check prints is kept. */
const OUTPUT_LIMIT_BYTES = 65_536
/** How much of the end of that is quoted. */
const SHOWN_CHARS = 300

/**
 * The end of the run after its check: `failed` with the reason `health_check` unless the check succeeded. `stopped`:
 * the check was stopped before it answered, so it says nothing about the host.
 */
export async function checkHealth(
  connection: SshConnection,
  { run, spec, command, end }: { run: HeldRun; spec: ReadySpec; command: RemoteCommand; end: ExecEnd },
): Promise<ExecEnd | 'stopped'> {
  const { healthCheck } = spec
  if (healthCheck === undefined || end.state !== 'succeeded') return end
  const { stdin: _stdin, ...where } = command
  const printed: Buffer[] = []
  const checked = await exec(
    connection,
    { ...where, form: { command: healthCheck.command } },
    {
      execTimeoutMs: healthCheck.timeoutMs,
      killGraceMs: spec.limits.killGraceMs,
      outputLimitBytes: OUTPUT_LIMIT_BYTES,
      // Masked before it is cut: half of a secret would not be known as one.
      ...(spec.masks !== undefined && { mask: spec.masks.stream }),
      signal: run.signal,
      onOutput: (_stream, bytes) => {
        printed.push(bytes)
      },
    },
  )
  if (checked.state === 'succeeded') return end
  if (run.signal.aborted) return 'stopped'
  const text = printable(Buffer.concat(printed).toString('utf8').trim().slice(-SHOWN_CHARS))
  const detail = `${howItEnded(checked)}${text === '' ? '' : `: ${text}`}`
  return { ...end, state: 'failed', reason: 'health_check', detail }
}

function howItEnded({ state, exitCode, signal, detail }: ExecEnd): string {
  if (state === 'timed_out') return `the health check took too long and was killed (${detail})`
  if (exitCode !== null) return `the health check ended with exit code ${exitCode}`
  if (signal !== null) return `the health check was ended by ${signal}`
  return `the health check gave no answer (${detail ?? 'for an unknown reason'})`
}

/** The end of a run whose command succeeded and whose health check was stopped, by the cause of the stop. */
export function endOfStoppedCheck(run: HeldRun, end: ExecEnd): ExecEnd {
  const detail = 'the command had succeeded; its health check was stopped before it answered'
  switch (run.stoppedBy()) {
    case 'job_timeout':
      return { ...end, state: 'timed_out', reason: 'job_timeout', detail }
    case 'cancelled_by_user':
    case 'error_budget':
      return { ...end, state: 'cancelled', reason: 'cancelled_by_user', detail }
    default:
      return { ...end, state: 'lost', reason: 'worker_lost', detail }
  }
}
