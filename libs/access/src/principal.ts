/** Who calls, according to their key, and what they may do. Reads nothing. */
import { type KeyLimits, MusterError, type Scope } from '@muster/contract'

/**
 * A limit that counts, and the key that set it. It counts what that key and all keys below it do together, so each of
 * those carries it.
 */
export type KeyShare = {
  readonly key_id: string
  readonly max_jobs_per_hour: number | null
  readonly max_concurrency: number | null
}

/** Who calls: a key, its owner, its scopes, and the limits that hold for it. */
export type Principal = {
  readonly keyId: string
  readonly owner: string
  readonly scopes: ReadonlySet<Scope>
  readonly limits: KeyLimits
  /** The counting limits of the key and of the keys above it. */
  readonly shares: readonly KeyShare[]
  /** The key with which the calls of this one are counted: itself, or one that it comes from. */
  readonly countsWith: string
}

/**
 * Passes when the key has the scope that `something` needs.
 * @throws {MusterError} insufficient_scope naming the scope and the key
 */
export function requireScope(
  { keyId, scopes }: Pick<Principal, 'keyId' | 'scopes'>,
  scope: Scope,
  something = 'this',
): void {
  if (scopes.has(scope)) return
  const has = [...scopes].join(', ')
  const message = `${something} needs the scope ${scope}, and the API key ${keyId} has only ${has}`
  throw new MusterError('insufficient_scope', message, { details: { scope } })
}
