/**
 * Reaching a host whose secrets may have been replaced since they were kept: what it refuses is asked for once more,
 * and tried again only if it is another secret now.
 */
import type { Reason } from '@muster/contract'
import type { Refused } from '@muster/ssh'
import type { ReachableHost } from './reachable-hosts.ts'

/** What another secret may mend: the log-in there, or at its jump host, or sudo. Nothing was started. */
const REFUSALS: ReadonlySet<Reason> = new Set<Reason>(['auth_failed', 'jump_failed', 'sudo_denied'])

/** What was reached, or why nothing was. */
type Result<T> = ({ readonly ok: true } & T) | Refused

/** Reaches the host, perhaps twice. */
export async function reachRenewed<T>(
  found: ReachableHost,
  reach: (found: ReachableHost) => Promise<Result<T>>,
): Promise<Result<T>> {
  const first = await reach(found)
  if (first.ok) return first
  const renewed = REFUSALS.has(first.reason) ? await found.renewed() : undefined
  if (renewed === undefined || 'reason' in renewed) return withMissing(first, found.missing)
  const second = await reach(renewed)
  return second.ok ? second : withMissing(second, renewed.missing)
}

/** A refusal of what there was. Where a program failed to give the rest, the host is not to blame. */
function withMissing(refused: Refused, missing: readonly string[]): Refused {
  if (refused.reason !== 'auth_failed' || missing.length === 0) return refused
  return { ...refused, detail: [refused.detail, ...missing].join('; '), isRetryable: true, isHostsFault: false }
}
