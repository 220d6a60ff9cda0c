/** The ends of a run, in the words of the ledger: those of a command, and those that never got so far. Pure. */
import { createHash } from 'node:crypto'
import type { RunEnd } from '@muster/ledger'
import type { ExecEnd } from '@muster/ssh'

/** The end of a command that was sent. */
export function runEndOf(end: ExecEnd): RunEnd {
  const { state, remote, reason, detail, exitCode, signal, isRetryable, stdout, stderr, outputComplete } = end
  const digest = createHash('sha256').update(`${stdout.sha256} ${stderr.sha256}`).digest('base64url')
  const output = { stdout, stderr, complete: outputComplete, digest }
  return { state, remote, reason, detail, exitCode, signal, isRetryable, output }
}

/**
 * The end of a run whose command was certainly not started. `isRetryable`: another attempt may go better.
 * `isHostsFault`: the host itself was asked, and did not answer or refused.
 */
export function neverStarted(
  state: RunEnd['state'],
  reason: RunEnd['reason'],
  detail: string | null,
  isRetryable = false,
  isHostsFault = false,
): RunEnd {
  return { state, remote: 'not_started', reason, detail, exitCode: null, signal: null, isRetryable, isHostsFault }
}

/** The end of a run of which nobody knows whether its command ran to its end. */
export function mayHaveRun(reason: RunEnd['reason'], detail: string): RunEnd {
  return { state: 'lost', remote: 'unknown', reason, detail, exitCode: null, signal: null, isRetryable: false }
}

/** Whether the host has told the end of the command and all its output, and nobody had to be stopped for it. */
export function endedByItself({ state, reason, remote, outputComplete }: ExecEnd): boolean {
  const isItsOwn = (state === 'succeeded' || state === 'failed') && reason !== 'output_limit'
  return isItsOwn && remote === 'ended' && outputComplete
}
