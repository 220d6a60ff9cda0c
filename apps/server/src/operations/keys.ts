/** The operations on API keys. libs/access decides what a key may pass on and which keys may be revoked. */
import { createKey, listKeys, requireScope, revokeKey, rotateKey } from '@muster/access'
import type { Input, Output } from '@muster/contract'
import { cancelJob, jobsOfKeys } from '@muster/ledger'
import type { Caller, OperationDeps } from './call/operation.ts'
import { resolveField } from './hosts/select-hosts.ts'

type KeyDeps = Pick<OperationDeps, 'ledger' | 'keyLedger' | 'logger'>

/**
 * Makes a key. Its text is only in the answer and never logged.
 * @throws {MusterError} insufficient_scope, key_limit if the key could do more than the caller; invalid_target,
 *   unknown_target for its hosts
 */
export async function createApiKey(
  { keyLedger, inventory, logger }: KeyDeps & Pick<OperationDeps, 'inventory'>,
  input: Input<'create_key'>,
  caller: Caller,
): Promise<Output<'create_key'>> {
  // A mistyped limit would be found out only when the key is used.
  if (input.hosts !== undefined) resolveField(inventory.current(), 'hosts', input.hosts)
  const made = await createKey(keyLedger, caller, input)
  const { key_id: newKeyId, owner, scopes, expires_at: expiresAt, limits } = made.record
  const told = { new_key_id: newKeyId, owner, scopes, expires_at: expiresAt, limits }
  logger.info({ ...told, key_id: caller.keyId }, 'API key made')
  return made
}

/** Lists the keys that the caller may see, newest first. */
export async function listApiKeys(
  { keyLedger }: Pick<KeyDeps, 'keyLedger'>,
  caller: Caller,
): Promise<Output<'list_keys'>> {
  return { keys: await listKeys(keyLedger, caller) }
}

/**
 * Gives a key a new secret. Its text is only in the answer and never logged.
 * @throws {MusterError} not_found, insufficient_scope, key_limit, invalid_request
 */
export async function rotateApiKey(
  { keyLedger, logger }: KeyDeps,
  { key_id: rotatedKeyId, grace_s: graceS }: Input<'rotate_key'>,
  caller: Caller,
): Promise<Output<'rotate_key'>> {
  const rotated = await rotateKey(keyLedger, caller, rotatedKeyId, graceS * 1_000)
  logger.info({ rotated_key_id: rotatedKeyId, grace_s: graceS, key_id: caller.keyId }, 'API key rotated')
  return rotated
}

/**
 * Revokes a key and those below it, and cancels their jobs if the call asks for that.
 * @throws {MusterError} not_found, last_key, key_limit, insufficient_scope
 */
export async function revokeApiKey(
  { ledger, keyLedger, logger }: KeyDeps,
  { key_id: revokedKeyId, cancel_jobs: cancelsJobs }: Input<'revoke_key'>,
  caller: Caller,
): Promise<Output<'revoke_key'>> {
  if (cancelsJobs) requireScope(caller, 'jobs:cancel', 'cancelling the jobs of a key')
  const { key, children, family } = await revokeKey(keyLedger, caller, revokedKeyId)
  const jobs = cancelsJobs ? await jobsOfKeys(ledger, new Set(family)) : []
  for (const jobId of jobs) await cancelJob(ledger, jobId)
  const told = { revoked_key_id: revokedKeyId, owner: key.owner, children, jobs_cancelled: jobs.length }
  logger.info({ ...told, key_id: caller.keyId }, 'API key revoked')
  return { ...key, children_revoked: [...children], jobs_cancelled: jobs.length }
}
