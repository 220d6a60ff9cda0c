/**
 * Submits jobs: freezes the hosts that the target expression selects, has the ledger accept the job, and waits for its
 * end if the call asks for that. A wait that ends early does not touch the job.
 */
import { foldHosts, type Input, type JobReport, MusterError } from '@muster/contract'
import type { Inventory } from '@muster/inventory'
import { type NewJob, readRerun, submitJob } from '@muster/ledger'
import { noSuchJob } from '../call/not-found.ts'
import type { Caller, OperationDeps } from '../call/operation.ts'
import { selectHosts } from '../hosts/select-hosts.ts'
import { reportAfterWait } from './jobs.ts'

/**
 * Submits a job and reports it. `isTest` is for a job that finds out whether hosts can be reached: it runs even where a
 * breaker is open because they could not be.
 * @throws {MusterError} invalid_target, unknown_target, no_targets, idempotency_conflict, ledger_unavailable
 */
export async function submit(
  { ledger, inventory, logger }: OperationDeps,
  request: Input<'submit_job'>,
  caller: Caller,
  { isTest = false }: { isTest?: boolean } = {},
): Promise<JobReport> {
  const known = inventory.current()
  const { hosts, seed } = selectHosts(known, request)
  const { jobId, created } = await submitJob(ledger, {
    request,
    hosts,
    machines: machinesOf(hosts, known),
    ...submitter(caller),
    isTest,
    ...(seed === undefined ? {} : { seed }),
  })
  if (created) logger.info({ job_id: jobId, hosts: hosts.length, key_id: caller.keyId }, 'job submitted')
  return reportAfterWait(ledger, jobId, request, caller)
}

/**
 * Runs a job again on those of its hosts that ended in `states`. The hosts come from its frozen set, whatever the
 * inventory says now; a name that has become an alias since stands for its host, each once.
 * @throws {MusterError} not_found; no_targets if no host ended so; idempotency_conflict, ledger_unavailable
 */
export async function rerun(
  { ledger, inventory, logger }: OperationDeps,
  input: Input<'rerun_job'>,
  caller: Caller,
): Promise<JobReport> {
  const { job_id: rerunOf, states, wait_s, idempotency_key } = input
  const again = await readRerun(ledger, rerunOf, states)
  if (again === undefined) throw noSuchJob(rerunOf)
  if (again.hosts.length === 0) {
    throw new MusterError('no_targets', `no host of job ${rerunOf} has ended as ${states.join(', ')}`, {
      details: { field: 'states', job_id: rerunOf },
    })
  }
  const known = inventory.current()
  const hosts = [...new Set(again.hosts.map((name) => known.find(name)?.name ?? name))]
  const request = {
    ...again.request,
    targets: foldHosts(hosts),
    wait_s,
    ...(idempotency_key === undefined ? {} : { idempotency_key }),
  }
  const rerun = { of: rerunOf, states: [...states].sort() }
  const job = { request, hosts, machines: machinesOf(hosts, known), ...submitter(caller), rerun }
  const { jobId } = await submitJob(ledger, job)
  logger.info({ job_id: jobId, rerun_of: rerunOf, hosts: hosts.length, key_id: caller.keyId }, 'job run again')
  return reportAfterWait(ledger, jobId, { wait_s }, caller)
}

/** The machine of each host. A host that has left the inventory counts as a machine of its own. */
function machinesOf(hosts: readonly string[], inventory: Inventory): string[] {
  return hosts.map((name) => inventory.find(name)?.machine ?? name)
}

/** Who submits the job, with which key, and as part of which trace. */
function submitter({ owner, keyId, traceparent }: Caller): Pick<NewJob, 'owner' | 'keyId' | 'traceparent'> {
  return { owner, keyId, ...(traceparent === undefined ? {} : { traceparent }) }
}
