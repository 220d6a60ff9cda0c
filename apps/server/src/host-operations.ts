/** The operations on hosts: which there are, which an expression selects, whether one can be reached. */

import type { Run } from '@muster/contract'
import { foldHosts, type Host, type Input, type JobReport, MusterError, Submit } from '@muster/contract'
import type { Inventory, InventoryHost } from '@muster/inventory'
import type { Asking, Operations } from './operations.ts'

/** The rows of the operation table that are about hosts. */
type HostOperations = Pick<Operations, 'resolve_targets' | 'list_hosts' | 'test_host'>

/** Makes them. A connection test is a job like any other: only workers reach hosts. */
export function hostOperations(
  inventory: () => Inventory,
  submit: (request: Input<'submit_job'>, asking: Asking) => Promise<JobReport>,
  findRun: (jobId: string, host: string) => Promise<Run | undefined>,
): HostOperations {
  return {
    resolve_targets: async ({ targets }) => {
      const hosts = [...inventory().resolve(targets)]
      return { count: hosts.length, folded: foldHosts(hosts), hosts }
    },
    list_hosts: async ({ targets, limit, cursor }) => {
      const names = inventory().resolve(targets)
      const start = cursor === undefined ? 0 : names.indexOf(cursor) + 1
      const page = names.slice(start, start + limit)
      const hosts = page.map((name) => inventory().hosts.get(name)).filter((host) => host !== undefined)
      const isLast = start + limit >= names.length
      return { hosts: hosts.map(toHost), total: names.length, next_cursor: isLast ? null : (page.at(-1) ?? null) }
    },
    test_host: async ({ host, wait_s }, asking) => {
      const request = Submit.parse({ argv: ['true'], targets: host, title: 'connection test', wait_s })
      const { job_id } = await submit(request, asking)
      const run = await findRun(job_id, host)
      if (run === undefined) throw new MusterError('internal', `job ${job_id} has no run on ${host}`)
      const hasEnded = run.ended_at !== null
      return {
        host,
        ok: hasEnded ? run.state === 'succeeded' : null,
        state: run.state,
        reason: run.reason,
        detail: hasEnded ? run.detail : 'no worker has answered yet; is one running?',
        connect_ms: run.connect_ms,
        job_id,
      }
    },
  }
}

function toHost(host: InventoryHost): Host {
  return {
    name: host.name,
    address: host.address,
    port: host.port,
    user: host.user,
    jump: host.jump ?? null,
    groups: [...host.groups],
    labels: { ...host.labels },
  }
}
