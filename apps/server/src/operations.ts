/**
 * The operations of the contract, each with the function that carries it out. REST and MCP both call them through
 * {@link callOperation}, so that both check, refuse and answer in the same way.
 */
import { type Input, OPERATIONS, type OperationName, type Output } from '@muster/contract'
import type { Inventory } from '@muster/inventory'
import type { Ledger } from '@muster/ledger'
import type { Logger } from '@muster/runtime'
import { followJob } from './follow-job.ts'
import { getJob, listAllJobs, requestCancel, requestConcurrency, requestExtend, requestResume } from './jobs.ts'
import { gatherAll, getOutput, readPage } from './output.ts'
import { resolveTargets } from './preview.ts'
import { type Fields, type InputSchema, parseInput } from './request-input.ts'
import { getRun, listRunsOf } from './runs.ts'
import { rerun, runCommand, submit } from './submit.ts'
import { listHosts, testHost } from './targets.ts'

/** What the operations need. */
export type OperationDeps = {
  readonly ledger: Ledger
  readonly inventory: { current(): Inventory }
  readonly logger: Logger
}

/** Who calls. */
export type Caller = {
  /** The ID of the API key. */
  readonly keyId: string
  /** Aborts when the caller is gone or the server ends: waits end then. The job goes on. */
  readonly signal: AbortSignal
}

/** What carrying out an operation gives: its output, or one after the other where the table says `events`. */
type Answer<N extends OperationName> = (typeof OPERATIONS)[N] extends { rest: { answers: 'events' } }
  ? AsyncIterable<Output<N>>
  : Output<N>

/** A function for each operation. They throw MusterError, with the codes that the contract documents. */
export type Operations = {
  readonly [N in OperationName]: (input: Input<N>, caller: Caller) => Promise<Answer<N>>
}

/** The operations over a ledger and an inventory. */
export function createOperations(deps: OperationDeps): Operations {
  return {
    submit_job: (input, caller) => submit(deps, input, caller),
    run_command: (input, caller) => runCommand(deps, input, caller),
    list_jobs: (input) => listAllJobs(deps, input),
    get_job: (input, caller) => getJob(deps, input, caller),
    wait_job: (input, caller) => getJob(deps, input, caller),
    list_runs: (input) => listRunsOf(deps, input),
    get_run: (input) => getRun(deps, input),
    read_output: (input) => readPage(deps, input),
    follow_job: (input, caller) => followJob(deps, input, caller),
    gather_output: (input) => gatherAll(deps, input),
    get_output: (input) => getOutput(deps, input),
    cancel_job: (input, caller) => requestCancel(deps, input, caller),
    extend_job: (input, caller) => requestExtend(deps, input, caller),
    resume_job: (input, caller) => requestResume(deps, input, caller),
    set_concurrency: (input, caller) => requestConcurrency(deps, input, caller),
    rerun_job: (input, caller) => rerun(deps, input, caller),
    resolve_targets: (input) => resolveTargets(deps, input),
    list_hosts: async (input) => listHosts(deps, input),
    test_host: (input, caller) => testHost(deps, input, caller),
  }
}

type InputSchemas = { readonly [N in OperationName]: { readonly input: InputSchema<Input<N>> } }
const SCHEMAS: InputSchemas = OPERATIONS

/**
 * Checks the fields of a call and carries it out.
 * @throws {MusterError} invalid_request for fields that are not as documented, and what the operation throws
 */
export async function callOperation<N extends OperationName>(
  operations: Operations,
  name: N,
  fields: Fields,
  caller: Caller,
): Promise<Answer<N>> {
  return operations[name](parseInput<Input<N>>(SCHEMAS[name].input, fields), caller)
}
