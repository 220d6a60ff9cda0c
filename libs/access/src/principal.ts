/** Who calls, according to their key, and what they may do. Reads nothing. */
import { MusterError, type Scope } from '@muster/contract'

/** Who calls: a key, its owner and its scopes. */
export type Principal = { readonly keyId: string; readonly owner: string; readonly scopes: ReadonlySet<Scope> }

/**
 * Passes when the key has the scope that `something` needs.
 * @throws {MusterError} insufficient_scope naming the scope and the key
 */
export function requireScope({ keyId, scopes }: Principal, scope: Scope, something = 'this'): void {
  if (scopes.has(scope)) return
  const has = [...scopes].join(', ')
  const message = `${something} needs the scope ${scope}, and the API key ${keyId} has only ${has}`
  throw new MusterError('insufficient_scope', message, { details: { scope } })
}
