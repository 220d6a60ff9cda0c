/**
 * The operations of a server: each row of the contract's table with the function that carries it out. Every answer is
 * cut to what its caller may read here, as the fields are marked in the contract. REST and MCP call them in one way, so
 * both check, refuse and answer alike.
 */
import { type Input, OPERATIONS, type OperationName, type Scope, shownTo } from '@muster/contract'
import type { z } from 'zod'
import { createAdmission } from './admission.ts'
import type { Answer, Caller, OperationDeps } from './call/operation.ts'
import { refusalFor, shownEvents } from './call/reading.ts'
import { type Fields, type InputSchema, parseInput } from './call/request-input.ts'
import { createShares } from './call/shares.ts'
import { listHosts } from './hosts/list-hosts.ts'
import { resolveTargets } from './hosts/preview.ts'
import { followJob } from './jobs/follow-job.ts'
import { getJob, listJobsFor, requestCancel, requestConcurrency, requestExtend, requestResume } from './jobs/jobs.ts'
import { withinDefaults } from './jobs/key-limits.ts'
import { getRun, listRunsOf, withHostOfJob } from './jobs/runs.ts'
import { rerun, submit } from './jobs/submit.ts'
import { createApiKey, listApiKeys, revokeApiKey, rotateApiKey } from './keys.ts'
import { checkDiskUsage } from './looks/check-disk-usage.ts'
import { listDirectory } from './looks/list-directory.ts'
import { testConnection } from './looks/test-connection.ts'
import { testHost } from './looks/test-host.ts'
import { gatherAll, getOutput, readPage } from './output/output.ts'

/** Most calls that wait for a job at once. Each asks Redis every two seconds, and whenever its job changes. */
const WAITS_LIMIT = 1_000

/** An operation of a server. */
type Served<N extends OperationName> = {
  readonly row: (typeof OPERATIONS)[N]
  /**
   * Lets the caller in or refuses it, checks the fields of the call and carries it out. A refused call has changed
   * nothing. `input` replaces the row's schema: a tool may have defaults and limits of its own.
   * @throws {MusterError} rate_limited, insufficient_scope; invalid_request for fields that are not as documented;
   *   not_found for a job that does not exist or belongs to another owner; share_taken, busy for a call that is to
   *   wait; and what the operation throws
   */
  call(fields: Fields, caller: Caller, input?: InputSchema<Input<N>>): Promise<Answer<N>>
}

/** The operations of a server by name. */
export type Operations = { readonly [N in OperationName]: Served<N> }

/** The operations over a ledger and an inventory. */
export function createOperations(deps: OperationDeps): Operations {
  const { ledger, inventory, limits } = deps
  const admission = createAdmission(ledger, limits)
  const waits = createShares({ what: 'calls that wait', total: WAITS_LIMIT, least: 4 })
  const serveAs = <Row extends { scope: Scope; input: InputSchema<In> }, In extends object, Out>(
    row: Row & { input: InputSchema<In> },
    carryOut: (input: In, caller: Caller) => Promise<Out>,
    show: (answer: Out, caller: Caller) => Out,
  ) => ({
    row,
    call: async (fields: Fields, caller: Caller, schema: InputSchema<In> = row.input): Promise<Out> => {
      await admission.letIn(row.scope, caller)
      const input = parseInput(schema, withinDefaults(fields, schema.shape, caller.limits))
      await admission.letAtJob(input, caller)
      // A caller whose signal has aborted is answered at once.
      const isToWait = 'wait_s' in input && input.wait_s !== 0 && !caller.signal.aborted
      const giveBack = isToWait ? waits.take(caller) : () => {}
      try {
        const answer = carryOut(input, caller).catch((error: unknown) => refusalFor(caller, input, error))
        return show(await answer, caller)
      } finally {
        giveBack()
      }
    },
  })
  const serve = <Row extends { scope: Scope; input: InputSchema<In>; output: z.ZodType<Out> }, In extends object, Out>(
    row: Row & { input: InputSchema<In>; output: z.ZodType<Out> },
    carryOut: (input: In, caller: Caller) => Promise<Out>,
  ) => serveAs(row, carryOut, (answer, { scopes }) => shownTo(scopes, row.output, answer))
  return {
    submit_job: serve(OPERATIONS.submit_job, (input, caller) => submit(deps, input, caller)),
    list_jobs: serve(OPERATIONS.list_jobs, (input, caller) => listJobsFor(ledger, input, caller)),
    get_job: serve(OPERATIONS.get_job, (input, caller) => getJob(ledger, input, caller)),
    list_runs: serve(OPERATIONS.list_runs, (input) => listRunsOf(ledger, input)),
    get_run: serve(OPERATIONS.get_run, async (input) => getRun(ledger, await withHostOfJob(deps, input))),
    read_output: serve(OPERATIONS.read_output, async (input) => readPage(ledger, await withHostOfJob(deps, input))),
    follow_job: serveAs(
      OPERATIONS.follow_job,
      async (input, caller) => followJob(ledger, await withHostOfJob(deps, input), caller),
      (events, { scopes }) => shownEvents(scopes, OPERATIONS.follow_job.output, events),
    ),
    gather_output: serve(OPERATIONS.gather_output, (input) => gatherAll(ledger, input)),
    get_output: serve(OPERATIONS.get_output, async (input, caller) =>
      getOutput(ledger, await withHostOfJob(deps, input), caller),
    ),
    cancel_job: serve(OPERATIONS.cancel_job, (input, caller) => requestCancel(deps, input, caller)),
    extend_job: serve(OPERATIONS.extend_job, (input, caller) => requestExtend(deps, input, caller)),
    resume_job: serve(OPERATIONS.resume_job, (input, caller) => requestResume(deps, input, caller)),
    set_concurrency: serve(OPERATIONS.set_concurrency, (input, caller) => requestConcurrency(deps, input, caller)),
    rerun_job: serve(OPERATIONS.rerun_job, (input, caller) => rerun(deps, input, caller)),
    resolve_targets: serve(OPERATIONS.resolve_targets, (input) =>
      resolveTargets(ledger, inventory.current(), input, deps.policy),
    ),
    list_hosts: serve(OPERATIONS.list_hosts, async (input) => listHosts(inventory.current(), input, deps.policy)),
    test_host: serve(OPERATIONS.test_host, (input, caller) => testHost(deps, input, caller)),
    test_connection: serve(OPERATIONS.test_connection, (input, caller) => testConnection(deps, input, caller)),
    list_directory: serve(OPERATIONS.list_directory, (input, caller) => listDirectory(deps, input, caller)),
    check_disk_usage: serve(OPERATIONS.check_disk_usage, (input, caller) => checkDiskUsage(deps, input, caller)),
    create_key: serve(OPERATIONS.create_key, (input, caller) => createApiKey(deps, input, caller)),
    list_keys: serve(OPERATIONS.list_keys, (_input, caller) => listApiKeys(deps, caller)),
    rotate_key: serve(OPERATIONS.rotate_key, (input, caller) => rotateApiKey(deps, input, caller)),
    revoke_key: serve(OPERATIONS.revoke_key, (input, caller) => revokeApiKey(deps, input, caller)),
  }
}
