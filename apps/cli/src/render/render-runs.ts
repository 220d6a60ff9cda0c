/** Runs as people see them: one in full, or one line each. Pure; escapes everything that comes from hosts. */
import {
  escapeLine,
  isTerminalRun,
  type LateResult,
  type Reached,
  type Run,
  type StreamSummary,
} from '@muster/contract'
import { reasonWords, stateWords } from './reason-words.ts'
import { tableText } from './render-output.ts'

/** How a run ended, or where it stands, on one line: `web01: failed, exit_nonzero, exit code 3`. */
export function runLine(run: Run): string {
  return `${run.host}: ${endText(run)}`
}

type End = Pick<Run, 'state' | 'reason' | 'exit_code' | 'signal'>

function endText({ state, reason, exit_code, signal }: End): string {
  const parts = [
    stateWords(state),
    // The signal, when it has a name, says it already.
    reason === 'signal' && signal !== null ? null : reason,
    exit_code === null || state === 'succeeded' ? null : `exit code ${exit_code}`,
    signal === null ? null : `signal ${escapeLine(signal)}`,
  ]
  return parts.filter((part) => part !== null).join(', ')
}

/** Everything about one run, for `muster show JOB HOST`, without empty lines. */
export function runText(run: Run): string {
  const hasEnded = isTerminalRun(run.state)
  const hasStarted = run.remote !== 'not_started'
  const rows: Array<readonly [string, string | null]> = [
    ['host', run.host],
    ['job', run.job_id],
    ['state', endText(run)],
    ['because', run.reason === null ? null : escapeLine(reasonWords(run.reason, run.detail))],
    ['waits', waitText(run)],
    ['notice', run.notice === null ? null : escapeLine(run.notice)],
    ['remote', run.remote.replaceAll('_', ' ')],
    ['safe to retry', hasEnded && run.state !== 'succeeded' ? safetyText(run) : null],
    ['attempt', run.attempt === 0 ? null : String(run.attempt)],
    ['next attempt', run.retry_at],
    ['mode', run.mode],
    ['worker', run.worker === null ? null : escapeLine(run.worker)],
    ['reached', run.reached === null ? null : reachedText(run.reached)],
    ['log-in', run.reached === null ? null : logInText(run.reached)],
    ['started', hasStarted ? run.started_at : null],
    // Nobody knows when, or whether, a lost run ended on its host.
    [run.state === 'lost' ? 'settled' : 'ended', run.ended_at],
    ['took', durationText(run)],
    ['stdout', streamText(run.stdout)],
    ['stderr', streamText(run.stderr)],
    ['output', hasEnded && !run.output_complete ? 'some of it may be missing' : null],
    ['late result', run.late_result === null ? null : lateText(run.late_result)],
  ]
  return rows.flatMap(([name, text]) => (text === null ? [] : [`${name.padEnd(14)} ${text}\n`])).join('')
}

/** Why a run that has not ended waits. The reason of one that has ended says it all. */
function waitText({ reason, detail, state }: Run): string | null {
  return reason !== null || detail === null || isTerminalRun(state) ? null : escapeLine(detail)
}

function reachedText({ address, port, jump, host_key: hostKey }: Reached): string {
  const way = jump === null ? '' : `, through ${escapeLine(jump)}`
  return `${address ?? 'an address of the jump host'}, port ${port}${way}; host key ${hostKey ?? 'not shown'}`
}

function logInText({ user, credentials }: Reached): string {
  const used = credentials.map(({ kind, fingerprint, certificate }) => {
    const signed =
      certificate && ` (${escapeLine(certificate.key_id)}, serial ${certificate.serial}, by ${certificate.authority})`
    return `${fingerprint === null ? kind : `${kind} ${fingerprint}`}${signed ?? ''}`
  })
  return `${escapeLine(user)}, ${used.length === 0 ? 'nothing accepted' : used.join(' and ')}`
}

function safetyText({ safe_to_retry: isSafe, remote }: Run): string {
  if (isSafe) return 'yes: the command has certainly not started'
  return remote === 'ended' ? 'no: the command has run' : 'no: the command may have run'
}

function lateText(late: LateResult): string {
  const detail = late.detail === null ? '' : `, ${escapeLine(late.detail)}`
  return `${endText(late)}${detail}; reported by ${escapeLine(late.worker)} at ${late.at}, after the run was settled`
}

function streamText({ bytes, omitted_bytes, sha256 }: StreamSummary): string {
  const omitted = omitted_bytes === 0 ? '' : `, ${omitted_bytes} of them not kept`
  return `${bytes} bytes${omitted}${sha256 === null || bytes === 0 ? '' : `, SHA-256 ${sha256}`}`
}

/** Runs, for `muster runs`; notes stand in the last column. */
export function runsText(runs: readonly Run[]): string {
  const rows = runs.map((run) => {
    const why = run.reason === null || run.reason === 'exit_nonzero' ? null : reasonWords(run.reason, run.detail)
    const notes = [
      why,
      waitText(run),
      run.retry_at === null ? null : `next attempt at ${run.retry_at}`,
      run.notice,
      run.late_result === null ? null : `late result: ${endText(run.late_result)}`,
      run.safe_to_retry ? 'safe to retry' : null,
    ]
    return [
      run.host,
      stateWords(run.state),
      run.exit_code === null ? '–' : String(run.exit_code),
      String(run.attempt),
      durationText(run) ?? '–',
      notes.filter((note) => note !== null).join('; '),
    ]
  })
  return tableText(['HOST', 'STATE', 'EXIT', 'ATTEMPT', 'TOOK', 'NOTES'], rows)
}

/** How long the command ran; null when it did not run, or nobody knows. */
function durationText({ duration_ms: ms, remote, state }: Run): string | null {
  return ms === null || remote === 'not_started' || state === 'lost' ? null : `${(ms / 1_000).toFixed(1)} s`
}
