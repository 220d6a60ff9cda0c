/**
 * The bounds of a key by another: what a new key gets of its maker, and whether a key may do more than another in any
 * way. Pure.
 */
import { EXPRESSIONS_LIMIT, type Input, type KeyLimits, MusterError, NUMERIC_LIMITS } from '@muster/contract'
import { type KeyRecord, principalOf } from './key-record.ts'
import { type KeyShare, requireScope } from './principal.ts'

/**
 * The limits of a new key: as asked for, and where nothing was asked, as its maker has them.
 * @throws {MusterError} key_limit when there are target expressions in too many keys, one above the other
 */
export function limitsOfChild({ key: { key_id: makerId, limits } }: KeyRecord, asked: Input<'create_key'>): KeyLimits {
  const { hosts, forms, no_sudo: noSudo, sudo_users: users } = asked
  const child: KeyLimits = {
    ...limits,
    hosts: [...new Set([...limits.hosts, ...(hosts === undefined ? [] : [hosts])])],
    forms: forms ?? limits.forms,
    sudo_users: noSudo ? [] : (users ?? limits.sudo_users),
    may_force: limits.may_force && !asked.no_force,
    may_claim_read_only: limits.may_claim_read_only && !asked.no_read_only_claims,
    may_name_hosts: limits.may_name_hosts && !asked.no_named_hosts,
  }
  if (child.hosts.length > EXPRESSIONS_LIMIT) throw tooDeep('hosts', makerId, EXPRESSIONS_LIMIT)
  for (const name of NUMERIC_LIMITS) child[name] = asked[name] ?? limits[name]
  return child
}

/** Most keys, one above the other, that count: every job is counted for each. */
const SHARES_LIMIT = 16

/**
 * The counting limits of a new key: all of its maker's, and those that it was given itself.
 * @throws {MusterError} key_limit when too many keys, one above the other, have some
 */
export function sharesOfChild(maker: KeyRecord, keyId: string, asked: Input<'create_key'>): KeyShare[] {
  const { max_jobs_per_hour: jobs = null, max_concurrency: runs = null } = asked
  if (jobs === null && runs === null) return [...maker.shares]
  if (maker.shares.length >= SHARES_LIMIT) {
    throw tooDeep(jobs === null ? 'max_concurrency' : 'max_jobs_per_hour', maker.key.key_id, SHARES_LIMIT)
  }
  return [...maker.shares, { key_id: keyId, max_jobs_per_hour: jobs, max_concurrency: runs }]
}

/**
 * Passes when `key` may do nothing that `holder` may not. `doing` says what the holder wants with it.
 * @throws {MusterError} insufficient_scope; key_limit naming the field and both values
 */
export function requireWithin(
  holder: KeyRecord,
  { key, shares }: Pick<KeyRecord, 'key' | 'shares'>,
  doing: string,
): void {
  const who = principalOf(holder)
  for (const scope of key.scopes) requireScope(who, scope, `${doing} with the scope ${scope}`)
  if (key.owner !== who.owner) requireScope(who, 'jobs:all', `${doing} for the owner ${key.owner}`)
  const excess = excessOf(holder, { key, shares })
  if (excess === undefined) return
  const { field, asked, allowed } = excess
  const message = `${field}: ${doing} with ${asked} would exceed the API key ${who.keyId}, which has ${allowed}`
  throw new MusterError('key_limit', message, { details: { field } })
}

type Excess = { readonly field: string; readonly asked: string; readonly allowed: string }

/** The first limit in which `other` is wider than `holder`. */
function excessOf(holder: KeyRecord, other: Pick<KeyRecord, 'key' | 'shares'>): Excess | undefined {
  const [has, wants] = [holder.key.limits, other.key.limits]
  const isMissing = has.hosts.find((expression) => !wants.hosts.includes(expression))
  if (isMissing !== undefined) return { field: 'hosts', asked: listOf(wants.hosts), allowed: listOf(has.hosts) }
  for (const field of ['forms', 'sudo_users'] as const) {
    const [most, asked]: Array<readonly string[] | null> = [has[field], wants[field]]
    const isWider = most !== null && (asked === null || asked?.some((one) => !most?.includes(one)))
    if (isWider) return { field, asked: listOf(asked), allowed: listOf(most) }
  }
  for (const field of NUMERIC_LIMITS) {
    const [most, asked] = [has[field], wants[field]]
    if (most !== null && (asked === null || asked > most)) return { field, asked: text(asked), allowed: text(most) }
  }
  for (const field of ['may_force', 'may_claim_read_only', 'may_name_hosts'] as const) {
    if (wants[field] && !has[field]) return { field, asked: 'yes', allowed: 'no' }
  }
  const [end, ends] = [holder.key.expires_at, other.key.expires_at]
  if (end !== null && (ends === null || Date.parse(ends) > Date.parse(end))) {
    return { field: 'expires_in_s', asked: `the end ${ends ?? 'never'}`, allowed: `the end ${end}` }
  }
  // What counts for the family of the holder must count there for the other one, too.
  const isOutside = holder.shares.some((share) => !other.shares.some(({ key_id: id }) => id === share.key_id))
  return isOutside ? { field: 'key_id', asked: 'counts of another family', allowed: 'its own' } : undefined
}

function tooDeep(field: string, makerId: string, most: number): MusterError {
  const message = `${field}: ${most} keys one above the other, down to ${makerId}, have such a limit`
  return new MusterError('key_limit', `${message}; make this one without, or by one above`, { details: { field } })
}

function listOf(values: readonly string[] | null | undefined): string {
  if (values == null) return 'all'
  return values.length === 0 ? 'none' : values.map((value) => JSON.stringify(value.slice(0, 200))).join(' and ')
}

function text(value: number | null): string {
  return value === null ? 'no limit' : String(value)
}
