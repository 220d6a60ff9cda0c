/** API keys for tests: made as over the surfaces, with the defaults of the operation filled in. */
import { createKey, type KeyLedger, openKeyStore, type Principal } from '@muster/access'
import { ALL_SCOPES, NO_LIMITS, OPERATIONS, type Request, type Scope } from '@muster/contract'

/** The first key of a ledger, which may do everything. */
export const FIRST: Principal = {
  keyId: 'first',
  owner: 'first',
  scopes: new Set(ALL_SCOPES),
  limits: NO_LIMITS,
  shares: [],
  countsWith: 'first',
}

/** All scopes but this one, and without that by which a key would have it all the same. */
export function allBut(lacking: Scope): Scope[] {
  const others = ALL_SCOPES.filter((scope) => scope !== lacking)
  return lacking === 'jobs:read' ? others.filter((scope) => scope !== 'jobs:read:output') : others
}

/** A key with its text, its record, and who calls with it. */
export async function makeKey(ledger: KeyLedger, maker: Principal, request: Request<'create_key'>) {
  const made = await createKey(ledger, maker, OPERATIONS.create_key.input.parse(request))
  return { ...made, holder: await holderOf(ledger, made.key) }
}

/** Who calls with this text of a key, which must be valid. */
export async function holderOf(ledger: KeyLedger, key: string): Promise<Principal> {
  const check = await openKeyStore(ledger).verifyKey(key)
  if (check.kind !== 'valid') throw new Error(`the key is ${check.kind}`)
  return check.principal
}
