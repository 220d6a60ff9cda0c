/** Who calls, by the key they showed, and what they may do. Reads nothing. */
import { MusterError, type Scope } from '@muster/contract'

/** Who calls: a key, whose it is, and what it may do. */
export type Principal = { readonly keyId: string; readonly owner: string; readonly scopes: ReadonlySet<Scope> }

/**
 * Passes when the key has the scope that something takes.
 * @throws {MusterError} insufficient_scope naming the scope and the key
 */
export function requireScope({ keyId, scopes }: Principal, scope: Scope, something = 'this'): void {
  if (scopes.has(scope)) return
  const has = [...scopes].join(', ')
  const message = `${something} takes the scope ${scope}, and the API key ${keyId} has only ${has}`
  throw new MusterError('insufficient_scope', message, { details: { scope } })
}
