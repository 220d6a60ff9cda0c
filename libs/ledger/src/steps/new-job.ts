/** A job that is about to be accepted: what its server knows of it beside the request. */
import type { Input } from '@muster/contract'
import type { CheckWork, SignWork } from '../job/signed-work.ts'

/** What limits the API key of a job while the job goes on. */
export type JobKeyLimits = {
  /** Target expressions that must all select a host, or it is not touched. */
  readonly hosts: readonly string[]
  /** The limits that count, with the key that counts: jobs within an hour, and runs in flight. Null: no limit. */
  readonly shares: ReadonlyArray<{
    readonly key_id: string
    readonly max_jobs_per_hour: number | null
    readonly max_concurrency: number | null
  }>
}

/**
 * The secrets of a job. They are sealed for it, or kept by the job that it runs again. `names` are no secrets. `mac` is
 * a digest by a key that is not in Redis: it tells whether the same request comes with the same secrets.
 */
export type NewSecrets = { readonly names: readonly string[] } & (
  | {
      readonly seal: (what: { jobId: string; hosts: readonly string[]; work: string }) => Promise<string>
      readonly mac: string
      /** Whether they stay when the job has ended. */
      readonly isKept: boolean
    }
  | { readonly keptBy: string }
)

/** A job to accept. */
export type NewJob = {
  /** Without its secrets. */
  request: Input<'submit_job'>
  /** Absent: it has none. */
  secrets?: NewSecrets
  /** The names of the resolved hosts, in order, each once; at least one. */
  hosts: readonly string[]
  /**
   * The machine of each host, named after one of its hosts. Hosts of one machine share its places. Absent: each host is
   * a machine of its own.
   */
  machines?: readonly string[]
  /** The owner of the API key that submits it; the job is theirs. */
  owner: string
  /** The ID of that API key. Absent: it is the owner's name, and the job goes on whatever becomes of a key. */
  keyId?: string
  /** What limits that key, where the ledger and the workers see to it. Absent: nothing. */
  keyLimits?: JobKeyLimits
  /** The valid W3C trace context of the call. Absent when there was none. */
  traceparent?: string
  /** The seed with which hosts were drawn or shuffled. Absent when they were not. */
  seed?: number
  /** The job that this one reruns, on the hosts that had ended in these states. Absent when this is no rerun. */
  rerun?: { of: string; states: readonly string[] }
  /** Signs what the workers are to do. Absent: nothing is signed. */
  sign?: SignWork
  /** Checks that a job which Redis has under the idempotency key is the one. Absent: Redis is believed. */
  check?: CheckWork
  /** Whether it tests the connection, and so goes past a breaker that is open because the host could not be reached. */
  isTest?: boolean
}

/** `key:number,key:number` for those with the limit. */
export function sharesText(shares: JobKeyLimits['shares'], limit: 'max_jobs_per_hour' | 'max_concurrency'): string {
  return shares.flatMap((share) => (share[limit] === null ? [] : [`${share.key_id}:${share[limit]}`])).join(',')
}
