/**
 * The operations of the contract, each with the function that carries it out. REST and MCP both call them through
 * {@link callOperation}, so both check, refuse and answer in the same way.
 */
import { type Input, OPERATIONS, type OperationName } from '@muster/contract'
import { ledgerNowMs } from '@muster/ledger'
import { type Admission, createAdmission } from './admission.ts'
import type { Answer, Caller, OperationDeps } from './call/operation.ts'
import { type Fields, type InputSchema, parseInput } from './call/request-input.ts'
import { listHosts } from './hosts/list-hosts.ts'
import { resolveTargets } from './hosts/preview.ts'
import { followJob } from './jobs/follow-job.ts'
import { getJob, listJobsFor, requestCancel, requestConcurrency, requestExtend, requestResume } from './jobs/jobs.ts'
import { getRun, listRunsOf, withHostOfJob } from './jobs/runs.ts'
import { rerun, submit } from './jobs/submit.ts'
import { createApiKey, listApiKeys, revokeApiKey } from './keys.ts'
import { checkDiskUsage } from './looks/check-disk-usage.ts'
import { listDirectory } from './looks/list-directory.ts'
import { testConnection } from './looks/test-connection.ts'
import { testHost } from './looks/test-host.ts'
import { gatherAll, getOutput, readPage } from './output/output.ts'

/** A function for each operation. Each throws MusterError with the codes that the contract documents. */
type Functions = { readonly [N in OperationName]: (input: Input<N>, caller: Caller) => Promise<Answer<N>> }

/** The operations of a server, and the check before them. */
export type Operations = {
  readonly admission: Admission
  readonly functions: Functions
  /** The clock that dates jobs, in ms since 1970. It is Redis' clock, not that of this server. */
  readonly nowMs: () => Promise<number>
}

/**
 * Makes the operations over a ledger and an inventory. Operations that only tools have stop waiting at a pause: the
 * agent that waits may be the one who has to end the pause.
 */
export function createOperations(deps: OperationDeps): Operations {
  const { ledger, limits } = deps
  return {
    admission: createAdmission(ledger, limits),
    functions: functionsOver(deps),
    nowMs: () => ledgerNowMs(ledger),
  }
}

function functionsOver(deps: OperationDeps): Functions {
  const { ledger, inventory } = deps
  return {
    submit_job: (input, caller) => submit(deps, input, caller),
    run_command: (input, caller) => submit(deps, input, caller, { until: 'done_or_paused' }),
    list_jobs: (input, caller) => listJobsFor(ledger, input, caller),
    get_job: (input, caller) => getJob(ledger, input, caller),
    wait_job: (input, caller) =>
      getJob(ledger, { ...input, until: input.until === 'done' ? 'done_or_paused' : input.until }, caller),
    list_runs: (input) => listRunsOf(ledger, input),
    get_run: async (input) => getRun(ledger, await withHostOfJob(deps, input)),
    read_output: async (input) => readPage(ledger, await withHostOfJob(deps, input)),
    follow_job: async (input, caller) => followJob(ledger, await withHostOfJob(deps, input), caller),
    gather_output: (input) => gatherAll(ledger, input),
    get_output: async (input, caller) => getOutput(ledger, await withHostOfJob(deps, input), caller),
    cancel_job: (input, caller) => requestCancel(deps, input, caller),
    extend_job: (input, caller) => requestExtend(deps, input, caller),
    resume_job: (input, caller) => requestResume(deps, input, caller),
    set_concurrency: (input, caller) => requestConcurrency(deps, input, caller),
    rerun_job: (input, caller) => rerun(deps, input, caller),
    rerun_command: (input, caller) => rerun(deps, input, caller, 'done_or_paused'),
    resolve_targets: (input) => resolveTargets(ledger, inventory.current(), input),
    list_hosts: async (input) => listHosts(inventory.current(), input),
    test_host: (input, caller) => testHost(deps, input, caller),
    test_connection: (input, caller) => testConnection(deps, input, caller),
    list_directory: (input, caller) => listDirectory(deps, input, caller),
    check_disk_usage: (input, caller) => checkDiskUsage(deps, input, caller),
    create_key: (input, caller) => createApiKey(deps, input, caller),
    list_keys: (_input, caller) => listApiKeys(ledger, caller),
    revoke_key: (input, caller) => revokeApiKey(deps, input, caller),
  }
}

type InputSchemas = { readonly [N in OperationName]: { readonly input: InputSchema<Input<N>> } }
const SCHEMAS: InputSchemas = OPERATIONS

/**
 * Checks the key and the fields of a call and carries it out. A refused call has changed nothing.
 * @throws {MusterError} rate_limited, insufficient_scope; invalid_request for fields that are not as documented;
 *   not_found for a job that does not exist or belongs to another owner; and what the operation throws
 */
export async function callOperation<N extends OperationName>(
  { admission, functions }: Operations,
  name: N,
  fields: Fields,
  caller: Caller,
): Promise<Answer<N>> {
  await admission.letIn(name, caller)
  const input = parseInput<Input<N>>(SCHEMAS[name].input, fields)
  await admission.letAtJob(input, caller)
  return functions[name](input, caller)
}
