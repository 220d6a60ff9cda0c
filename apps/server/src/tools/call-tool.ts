/**
 * Carries out calls of the MCP tools: each calls its operation, and answers with what that gives or, where it has an
 * output schema of its own, with less. Such a tool without a row here does not compile.
 */
import {
  type Input,
  isToolName,
  type JobAnswer,
  type JobReport,
  type NextCall,
  OPERATIONS,
  type OperationName,
  TOOLS,
  type ToolName,
} from '@muster/contract'
import { type Ledger, ledgerNowMs } from '@muster/ledger'
import type { z } from 'zod'
import type { Answer, Caller } from '../operations/call/operation.ts'
import { type Fields, type InputSchema, refuseUnknown } from '../operations/call/request-input.ts'
import type { Operations } from '../operations/operations.ts'
import { gatherAll } from '../operations/output/output.ts'
import { createGroupCache } from './group-cache.ts'
import { isShownWithOutput, toJobAnswer } from './job-answer.ts'
import { toHostList, toJobList, toTargets } from './list-answers.ts'
import { type Gather, shortGroups } from './short-groups.ts'
import type { Call } from './tools.ts'

/** The row of a tool over the operation N. */
type ToolOver<N extends OperationName> = {
  readonly operation: N
  readonly input?: InputSchema<Input<N>>
  readonly fields: object
}

/** The tools that answer less than their operations. */
type ShorterTool = { [T in ToolName]: (typeof TOOLS)[T] extends { readonly output: object } ? T : never }[ToolName]

/**
 * Calls tools over the operations of a server. `offered` are the names of those that an answer may advise to call next.
 * @throws {MusterError} what the operation throws; invalid_request for a field that the tool does not list
 */
export function createCallTool(
  operations: Operations,
  ledger: Ledger,
  offered: ReadonlySet<string>,
): (name: ToolName, fields: Fields, caller: Caller) => Promise<unknown> {
  const carryOut = <N extends OperationName>(tool: ToolOver<N>, fields: Fields, caller: Caller): Promise<Answer<N>> => {
    // A tool takes fewer fields than its operation: a field it does not list is as good as misspelt.
    refuseUnknown(fields, Object.keys(tool.fields))
    // An agent that waits may be the one who has to resume the job.
    return operations[tool.operation].call(fields, { ...caller, endsWaitAtPause: true }, tool.input)
  }
  /** A tool with an answer of its own, made by `shorten`. */
  const shorter =
    <N extends OperationName, Told>(
      tool: ToolOver<N> & { readonly output: z.ZodType<Told> },
      shorten: (given: Answer<N>, fields: Fields, caller: Caller) => Promise<Told> | Told,
    ): Call =>
    async (fields, caller) =>
      shorten(await carryOut(tool, fields, caller), fields, caller)
  const answerJob = createJobAnswers(ledger, offered)
  const ofJob = (report: JobReport, _fields: Fields, caller: Caller) =>
    answerJob(report, caller, { withCommand: false })
  const shorterCalls: { readonly [T in ShorterTool]: Call } & { readonly [T in ToolName]?: Call } = {
    run_command: shorter(TOOLS.run_command, ofJob),
    // Whoever asks for a job by its ID may not be the one who submitted it, or may have forgotten the command.
    get_job: shorter(TOOLS.get_job, (report, _fields, caller) => answerJob(report, caller, { withCommand: true })),
    wait_job: shorter(TOOLS.wait_job, ofJob),
    cancel_job: shorter(TOOLS.cancel_job, ofJob),
    resume_job: shorter(TOOLS.resume_job, ofJob),
    rerun_job: shorter(TOOLS.rerun_job, ofJob),
    list_jobs: shorter(TOOLS.list_jobs, toJobList),
    list_hosts: shorter(TOOLS.list_hosts, toHostList),
    preview_targets: shorter(TOOLS.preview_targets, toTargets),
  }
  return async (name, fields, caller) => {
    const call = shorterCalls[name]
    return call === undefined ? carryOut<OperationName>(TOOLS[name], fields, caller) : call(fields, caller)
  }
}

/** Makes answers of the reports of jobs: with output for callers who may read it, and with next calls they may make. */
function createJobAnswers(
  ledger: Ledger,
  offered: ReadonlySet<string>,
): (report: JobReport, caller: Caller, options: { withCommand: boolean }) => Promise<JobAnswer> {
  const groups = createGroupCache()
  const may = ({ scopes }: Caller, operation: OperationName) => scopes.has(OPERATIONS[operation].scope)
  return async (report, caller, { withCommand }) => {
    const { job_id, changes } = report
    const gather: Gather = (options) => gatherAll(ledger, { job_id, ...options })
    // Whatever changes the output of a job is a change of the job.
    const output =
      may(caller, 'gather_output') && isShownWithOutput(report)
        ? await groups.get(`${job_id} ${changes}`, () => shortGroups(gather))
        : undefined
    const answer = toJobAnswer(report, output, { withCommand, now: await ledgerNowMs(ledger) })
    const isOpen = ({ tool }: NextCall) => isToolName(tool) && offered.has(tool) && may(caller, TOOLS[tool].operation)
    return { ...answer, next: answer.next.filter(isOpen) }
  }
}
