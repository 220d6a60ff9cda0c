/** The operations on API keys. libs/access decides which scopes a key may pass on and which keys may be revoked. */
import { createKey, listKeys, revokeKey } from '@muster/access'
import type { ApiKey, Input, Output } from '@muster/contract'
import type { Ledger } from '@muster/ledger'
import type { Caller, OperationDeps } from './call/operation.ts'

/**
 * Makes a key. Its text is only in the answer and never logged.
 * @throws {MusterError} insufficient_scope if the key could do more than the caller
 */
export async function createApiKey(
  { ledger, logger }: Pick<OperationDeps, 'ledger' | 'logger'>,
  input: Input<'create_key'>,
  caller: Caller,
): Promise<Output<'create_key'>> {
  const made = await createKey(ledger, caller, input)
  const { key_id: newKeyId, owner, scopes, expires_at: expiresAt } = made.record
  logger.info({ new_key_id: newKeyId, owner, scopes, expires_at: expiresAt, key_id: caller.keyId }, 'API key made')
  return made
}

/** Lists the keys that the caller may see, newest first. */
export async function listApiKeys(ledger: Ledger, caller: Caller): Promise<Output<'list_keys'>> {
  return { keys: await listKeys(ledger, caller) }
}

/**
 * Revokes a key.
 * @throws {MusterError} not_found, last_key
 */
export async function revokeApiKey(
  { ledger, logger }: Pick<OperationDeps, 'ledger' | 'logger'>,
  { key_id: revokedKeyId }: Input<'revoke_key'>,
  caller: Caller,
): Promise<ApiKey> {
  const key = await revokeKey(ledger, caller, revokedKeyId)
  logger.info({ revoked_key_id: revokedKeyId, owner: key.owner, key_id: caller.keyId }, 'API key revoked')
  return key
}
