/**
 * How each tool answers what its operation gives: as it is, or shorter. A tool without a row here does not compile.
 */
import type { JobAnswer, JobReport, TOOLS, ToolName } from '@muster/contract'
import type { z } from 'zod'
import type { Answer, Caller } from '../operations/call/operation.ts'
import type { Fields } from '../operations/call/request-input.ts'
import type { Operations } from '../operations/operations.ts'
import { createGroupCache } from './group-cache.ts'
import { isShownWithOutput, toJobAnswer } from './job-answer.ts'
import { toHostList, toJobList, toTargets } from './list-answers.ts'
import { shortGroups } from './short-groups.ts'

/** What a call of a tool gives before it is answered. */
type Given<T extends ToolName> = Answer<(typeof TOOLS)[T]['operation']>

/** What the table says that a tool answers. */
type Told<T extends ToolName> = (typeof TOOLS)[T] extends { output: infer S extends z.ZodType } ? z.infer<S> : string

/** A function for each tool. `fields` are those of the call. */
export type ToolAnswers = {
  readonly [T in ToolName]: (given: Given<T>, fields: Fields, caller: Caller) => Promise<Told<T>> | Told<T>
}

/** The answers of the tools over the operations of a server. */
export function createToolAnswers(operations: Operations): ToolAnswers {
  const groups = createGroupCache()
  const answerJob = async (report: JobReport, caller: Caller, withCommand = false): Promise<JobAnswer> => {
    const { job_id, changes } = report
    // The report was given to this caller, so what the job printed may be too.
    const gather = (options: Parameters<Parameters<typeof shortGroups>[0]>[0]) =>
      operations.functions.gather_output({ job_id, ...options }, caller)
    // Whatever changes the output of a job is a change of the job.
    const output = isShownWithOutput(report)
      ? await groups.get(`${job_id} ${changes}`, () => shortGroups(gather))
      : undefined
    return toJobAnswer(report, output, { withCommand, now: await operations.nowMs() })
  }
  const ofJob = (report: JobReport, _fields: Fields, caller: Caller) => answerJob(report, caller)
  return {
    run_command: ofJob,
    // Whoever asks for a job by its ID may not be the one who submitted it, or may have forgotten.
    get_job: (report, _fields, caller) => answerJob(report, caller, true),
    wait_job: ofJob,
    get_output: asItIs,
    cancel_job: ofJob,
    resume_job: ofJob,
    rerun_job: ofJob,
    list_jobs: toJobList,
    list_hosts: toHostList,
    preview_targets: toTargets,
    test_connection: asItIs,
    list_directory: asItIs,
    check_disk_usage: asItIs,
  }
}

function asItIs<T>(given: T): T {
  return given
}
