/**
 * The family of a key: itself and those that it has made, directly or not. Whom of it a key may revoke or rotate. Pure.
 */
import { type ApiKey, MusterError } from '@muster/contract'
import type { KeyRecord } from './key-record.ts'
import { type Principal, requireScope } from './principal.ts'

/** A record and those of all keys that were made with it, directly or not. */
export function familyOf(root: KeyRecord, records: readonly KeyRecord[]): Set<KeyRecord> {
  const family = new Set([root])
  // A set is walked through to what is added meanwhile.
  for (const { key } of family) {
    for (const record of records) if (record.key.created_by === key.key_id) family.add(record)
  }
  return family
}

/** Whether somebody may know of a key. */
export function isTheirs({ owner }: ApiKey, { owner: own, scopes }: Principal): boolean {
  return owner === own || scopes.has('jobs:all')
}

/**
 * A key revokes itself, but none that it comes from; nor, without jobs:all, one that takes keys of others along.
 * @throws {MusterError} key_limit, insufficient_scope
 */
export function requireMayRevoke(revoker: Principal, root: KeyRecord, family: ReadonlySet<KeyRecord>): void {
  refuseAbove(revoker, root, family, 'revoke')
  const others = [...family].find(({ key }) => !isTheirs(key, revoker))
  if (others === undefined) return
  requireScope(revoker, 'jobs:all', `revoking ${root.key.key_id}, from which keys of other owners come,`)
}

/**
 * A key rotates itself and those below it: they end when it is revoked, so that their new texts are of no use to it
 * then. With jobs:all it rotates others too, but none that it comes from, as it would lock out whoever made it.
 * @throws {MusterError} key_limit, insufficient_scope
 */
export function requireMayRotate(rotator: KeyRecord, caller: Principal, other: KeyRecord, all: readonly KeyRecord[]) {
  refuseAbove(caller, other, familyOf(other, all), 'rotate')
  const own = [...familyOf(rotator, all)].some(({ key }) => key.key_id === other.key.key_id)
  if (!own) requireScope(caller, 'jobs:all', `rotating ${other.key.key_id}, which does not come from this key,`)
}

function refuseAbove({ keyId }: Principal, root: KeyRecord, family: ReadonlySet<KeyRecord>, verb: string): void {
  const { key_id: rootId } = root.key
  if (keyId === rootId || ![...family].some(({ key }) => key.key_id === keyId)) return
  const message = `key_id: the API key ${keyId} comes from ${rootId}, and cannot ${verb} it`
  throw new MusterError('key_limit', message, { details: { field: 'key_id' } })
}
