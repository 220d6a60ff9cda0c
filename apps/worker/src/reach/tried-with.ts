/** What a job would try a host with: its breaker lets through what has not failed yet. */
import type { TriedWith } from '@muster/ledger'
import { type loadKnownHosts, triedDigest } from '@muster/ssh'
import type { SecretsOfJobs } from '../hold/job-secrets.ts'
import type { RunSpecs } from '../hold/run-specs.ts'
import type { ReachableHosts } from './reachable-hosts.ts'

/** What telling it needs. */
type TriedWithDeps = {
  readonly specs: RunSpecs
  readonly jobSecrets: SecretsOfJobs
  readonly hosts: ReachableHosts
  readonly knownHosts: ReturnType<typeof loadKnownHosts>
  /** A secret that the processes of this worker share, so that nobody can guess passwords from the digests in Redis. */
  readonly salt: string
  /** The worker closes. */
  readonly closing: AbortSignal
}

/** Tells digests that cover the secrets of the request, too. */
export function tellTriedWith({ specs, jobSecrets, hosts, knownHosts, salt, closing }: TriedWithDeps): TriedWith {
  return async (run, kind) => {
    const spec = await specs.toReach(run)
    const held = spec && (await jobSecrets.hold(run, spec))
    // The run itself says what is wrong with its job.
    if (held === undefined || 'unreadable' in held) return undefined
    try {
      const { connect, login } = held.spec
      const without = { sudoUser: undefined, sudoPassword: undefined, keyHosts: [], run: undefined }
      const found = await hosts.find(run.host, { ...without, connect, login, signal: closing })
      if (!('host' in found)) return undefined
      const known = await knownHosts.read(found.host.knownHostsFiles)
      return await triedDigest(found.host, kind, { known, salt })
    } finally {
      held.release()
    }
  }
}
