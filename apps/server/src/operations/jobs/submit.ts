/**
 * Submits jobs: freezes the hosts that the target expression selects, has the ledger accept the job, and waits for its
 * end if the call asks for that. A wait that ends early does not touch the job.
 */
import { foldHosts, type Input, type JobReport, MusterError } from '@muster/contract'
import type { InventoryHost } from '@muster/inventory'
import { type NewJob, readRerun, submitJob } from '@muster/ledger'
import { noSuchJob } from '../call/not-found.ts'
import type { Caller, OperationDeps } from '../call/operation.ts'
import { requireNamedHosts, requireUsedConnect } from '../hosts/named-hosts.ts'
import { selectHosts } from '../hosts/select-hosts.ts'
import { secretsOfRerun, takeSecrets } from './job-secrets.ts'
import { reportAfterWait, requireSignedFor } from './jobs.ts'
import { fitted, paced, requireAllowed } from './key-limits.ts'

/**
 * Submits a job of a caller and reports it.
 * @throws {MusterError} invalid_target, unknown_target, no_targets, host_not_allowed, key_limit, rate_limited,
 *   secrets_not_accepted, idempotency_conflict, ledger_unavailable
 */
export async function submit(deps: OperationDeps, request: Input<'submit_job'>, caller: Caller): Promise<JobReport> {
  return submitFor(deps, request, caller, { isOurs: false, isTest: false })
}

/**
 * Submits a job of Muster's own on behalf of a caller, one that only reads, and reports it. It is made to fit the key.
 * `isTest` is for a job that finds out whether hosts can be reached: it runs even where a breaker is open because they
 * could not be, if the key may force that.
 * @throws {MusterError} as `submit`
 */
export async function submitOurs(
  deps: OperationDeps,
  request: Input<'submit_job'>,
  caller: Caller,
  { isTest }: { isTest: boolean },
): Promise<JobReport> {
  return submitFor(deps, fitted(request, caller), caller, { isOurs: true, isTest: isTest && caller.limits.may_force })
}

async function submitFor(
  deps: OperationDeps,
  request: Input<'submit_job'>,
  caller: Caller,
  { isOurs, isTest }: { isOurs: boolean; isTest: boolean },
): Promise<JobReport> {
  const { open, secrets } = takeSecrets(deps, request, caller)
  const known = deps.inventory.current()
  const { hosts, seed } = selectHosts(known, request)
  const { connect } = request
  if (connect !== undefined) {
    requireUsedConnect(
      connect,
      hosts.flatMap((name) => known.find(name, connect) ?? []),
    )
  }
  const job = { request: open, hosts, isTest, ...(seed !== undefined && { seed }), ...(secrets && { secrets }) }
  const { jobId, created } = await accept(deps, caller, job, isOurs)
  if (created) deps.logger.info({ job_id: jobId, hosts: hosts.length, key_id: caller.keyId }, 'job submitted')
  return reportAfterWait(deps.ledger, jobId, request, caller)
}

/** Has the ledger accept a job, if the key of the caller allows it. Every job of a server passes here. */
async function accept(
  { ledger, inventory, policy, signWork, checkWork }: OperationDeps,
  caller: Caller,
  job: Omit<NewJob, 'machines' | 'owner' | 'keyId' | 'keyLimits' | 'traceparent' | 'sign' | 'check'>,
  isOurs: boolean,
): ReturnType<typeof submitJob> {
  const known = inventory.current()
  const { owner, keyId, limits, shares, traceparent } = caller
  const reached = job.hosts.map((name) => known.find(name, job.request.connect))
  requireNamedHosts(
    caller,
    reached.filter((host) => host !== undefined),
    { policy, inventory: known },
  )
  requireAllowed(caller, job.request, { hosts: job.hosts, inventory: known, isOurs })
  return await submitJob(ledger, {
    ...job,
    machines: machinesOf(job.hosts, reached),
    owner,
    keyId,
    keyLimits: { hosts: limits.hosts, shares },
    ...(traceparent === undefined ? {} : { traceparent }),
    ...(signWork === undefined ? {} : { sign: signWork }),
    ...(checkWork === undefined ? {} : { check: checkWork }),
  })
}

/**
 * Runs a job again on those of its hosts that ended in `states`. The hosts come from its frozen set, whatever the
 * inventory says now; a name that has become an alias since stands for its host, each once. The key of the caller must
 * allow the job, as if they submitted it themselves.
 * @throws {MusterError} not_found; no_targets if no host ended so; signature_invalid when Redis tells the job otherwise
 *   than a server has signed it; secrets_not_kept; key_limit, rate_limited,
 *   secrets_not_accepted, idempotency_conflict, ledger_unavailable
 */
export async function rerun(deps: OperationDeps, input: Input<'rerun_job'>, caller: Caller): Promise<JobReport> {
  const { ledger, inventory, logger } = deps
  const { job_id: rerunOf, states, wait_s, idempotency_key } = input
  const again = await readRerun(ledger, rerunOf, states, deps.checkWork)
  if (again === undefined) throw noSuchJob(rerunOf)
  await requireSignedFor(deps, rerunOf, caller)
  if (again.hosts.length === 0) {
    throw new MusterError('no_targets', `no host of job ${rerunOf} has ended as ${states.join(', ')}`, {
      details: { field: 'states', job_id: rerunOf },
    })
  }
  const secrets = secretsOfRerun(deps, input, again, caller)
  const known = inventory.current()
  const { connect } = again.request
  const hosts = [...new Set(again.hosts.map((name) => known.find(name, connect)?.name ?? name))]
  if (input.connect !== undefined) {
    requireUsedConnect(
      { ...connect, ...input.connect },
      hosts.flatMap((name) => known.find(name, connect) ?? []),
    )
  }
  const request = {
    ...again.request,
    targets: foldHosts(hosts),
    wait_s,
    ...(idempotency_key === undefined ? {} : { idempotency_key }),
  }
  const origin = { of: rerunOf, states: [...states].sort() }
  const job = { request: paced(request, hosts.length, caller), hosts, rerun: origin, ...(secrets && { secrets }) }
  const { jobId } = await accept(deps, caller, job, false)
  logger.info({ job_id: jobId, rerun_of: rerunOf, hosts: hosts.length, key_id: caller.keyId }, 'job run again')
  return reportAfterWait(ledger, jobId, { wait_s }, caller)
}

/** The machine of each host. A host that has left the inventory counts as a machine of its own. */
function machinesOf(hosts: readonly string[], reached: ReadonlyArray<InventoryHost | undefined>): string[] {
  return hosts.map((name, i) => reached[i]?.machine ?? name)
}
