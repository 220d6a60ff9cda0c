/** The ends of runs, in the form that the ledger takes. Pure. */
import { createHash } from 'node:crypto'
import type { Reached } from '@muster/contract'
import type { RunEnd } from '@muster/ledger'
import type { ExecEnd } from '@muster/ssh'

/** How a ticket ended: with the end of its run, or `not ours` when another worker ends the run. */
export type TicketEnd = RunEnd | 'not ours'

/** An end, and what to do on the host once it was offered to the ledger. `isStored`: the ledger has taken it. */
export type EndAndCleanUp = { readonly end: TicketEnd; readonly cleanUp?: (isStored: boolean) => Promise<void> }

/** The end of a run whose command was sent. */
export function endOfCommand(end: ExecEnd): RunEnd {
  const { state, remote, reason, detail, exitCode, signal, isRetryable, stdout, stderr, outputComplete } = end
  const digest = createHash('sha256').update(`${stdout.sha256} ${stderr.sha256}`).digest('base64url')
  const output = { stdout, stderr, complete: outputComplete, digest }
  return { state, remote, reason, detail, exitCode, signal, isRetryable, output }
}

/** The end, with what the connection reached over which the command was sent, or was found. */
export function withReached(end: TicketEnd, reached: Reached): TicketEnd {
  return end === 'not ours' ? end : { ...end, reached }
}

/** The end of a run whose command certainly did not start. Absent: no other attempt, and nobody's fault. */
export function neverStarted(
  state: RunEnd['state'],
  reason: RunEnd['reason'],
  detail: string | null,
  { isRetryable = false, isHostsFault = false }: Partial<Pick<RunEnd, 'isRetryable' | 'isHostsFault'>> = {},
): RunEnd {
  return { state, remote: 'not_started', reason, detail, exitCode: null, signal: null, isRetryable, isHostsFault }
}

/** The end of a run whose command may have run, and nobody knows how it ended. */
export function mayHaveRun(reason: RunEnd['reason'], detail: string): RunEnd {
  return { state: 'lost', remote: 'unknown', reason, detail, exitCode: null, signal: null, isRetryable: false }
}

/** Whether the command ended without being stopped, and the host reported its end and all its output. */
export function endedByItself({ state, reason, remote, outputComplete }: ExecEnd): boolean {
  const isItsOwn = (state === 'succeeded' || state === 'failed') && reason !== 'output_limit'
  return isItsOwn && remote === 'ended' && outputComplete
}
