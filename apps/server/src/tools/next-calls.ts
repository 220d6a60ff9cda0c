/** The calls to make next: wait for a job, resume or cancel it, read the rest of it, run again what failed. */
import {
  type AnswerOutput,
  isTerminalJob,
  type JobReport,
  type NextCall,
  type Problem,
  type ToolName,
} from '@muster/contract'

/** A call of a tool; the type of its name makes sure that the tool exists. */
function call(why: string, tool: ToolName, fields: Record<string, unknown>): NextCall {
  return { why, tool, arguments: fields }
}

/** The calls that make sense for a job in its present state. */
export function callsAfterJob(report: JobReport, output: AnswerOutput | undefined): NextCall[] {
  const ofJob = { job_id: report.job_id }
  const reading = readingCalls(report, output)
  const cancel = call('stop it', 'cancel_job', ofJob)
  if (report.state === 'paused') {
    const { batch } = report
    const until = batch?.paused_until ?? null
    const end = until === null ? '' : `; by itself it ends at ${until}, the rest skipped`
    const why = batch?.paused_because === 'nothing_ran' ? 'no host of the batch was tried; go on' : 'go on'
    const fields = batch === null ? ofJob : { ...ofJob, batch: batch.number }
    return [call(`${why}${end}`, 'resume_job', fields), cancel, ...reading]
  }
  if (isTerminalJob(report.state)) return [...reading, ...rerunCalls(report)]
  const wait = call('wait for its end; it goes on by itself, so never submit it again', 'wait_job', ofJob)
  return report.state === 'cancelling' ? [wait, ...reading] : [wait, ...reading, cancel]
}

/** How to read what the answer had no room for. */
function readingCalls({ job_id, total, counts }: JobReport, output: AnswerOutput | undefined): NextCall[] {
  if (output === undefined) return counts.running > 0 ? [call('output so far', 'get_output', { job_id })] : []
  const { groups, groups_omitted: omitted } = output
  if (omitted !== undefined) {
    return [call('all groups; with host, the output of that one', 'get_output', { job_id, max_chars: 24_000 })]
  }
  if (!groups.some(({ shortened }) => shortened)) return []
  const [only] = groups
  if (total === 1 && only !== undefined && !only.hosts.endsWith('…')) {
    return [call('all of the output', 'get_output', { job_id, host: only.hosts })]
  }
  return [call('more of the output; with host, that of one', 'get_output', { job_id, max_chars: 24_000 })]
}

/** Running again is harmless where the command certainly has not started. */
function rerunCalls({ job_id, counts }: JobReport): NextCall[] {
  const states = (['unreachable', 'skipped'] as const).filter((state) => counts[state] > 0)
  if (states.length === 0) return []
  return [call('a new job on the hosts where it never started', 'rerun_job', { job_id, states })]
}

/** The call that helps after a refusal. Undefined when none does. */
export function callAfterProblem({ code, job_id: jobId, field }: Problem): NextCall | undefined {
  switch (code) {
    case 'not_found':
      return field === 'job_id' ? call('find the job', 'list_jobs', {}) : undefined
    case 'idempotency_conflict':
    case 'job_ended':
    case 'job_not_paused':
      return jobId === undefined ? undefined : call('read that job', 'get_job', { job_id: jobId })
    case 'no_targets':
      if (jobId !== undefined) return call('read that job', 'get_job', { job_id: jobId })
      return call('see which hosts there are', 'list_hosts', {})
    case 'unknown_target':
      return call('see which hosts there are', 'list_hosts', {})
    default:
      return undefined
  }
}
