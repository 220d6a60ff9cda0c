/** API keys as people see them. Pure; never sees the text of a key. */
import { ALL_SCOPES, type ApiKey, escapeLine, type KeyLimits, NUMERIC_LIMITS } from '@muster/contract'
import { tableText } from './render-output.ts'

/** All keys, one line each; `nowMs`, in milliseconds since 1970, decides which have expired. */
export function keysText(keys: readonly ApiKey[], nowMs: number): string {
  const rows = keys.map((key) => [
    key.key_id,
    key.owner,
    stateText(key, nowMs),
    key.created_at,
    key.created_by ?? '–',
    scopesText(key),
    limitsText(key.limits) || '–',
  ])
  return tableText(['KEY', 'OWNER', 'STATE', 'CREATED', 'BY', 'SCOPES', 'LIMITS'], rows)
}

/** The line about a key that was just made. */
export function keyText(key: ApiKey): string {
  const { key_id: keyId, owner, expires_at: expiresAt } = key
  const limits = limitsText(key.limits)
  const end = expiresAt === null ? '' : `, until ${expiresAt}`
  return `${keyId} of ${owner} with ${scopesText(key)}${limits === '' ? '' : `, ${limits}`}${end}`
}

/** The limits that there are, as the fields of `muster keys create` name them. */
function limitsText(limits: KeyLimits): string {
  const { hosts, forms, sudo_users: users } = limits
  const numbers = NUMERIC_LIMITS.flatMap((name) => (limits[name] === null ? [] : [`${name} ${limits[name]}`]))
  const words = [
    ...hosts.map((expression) => `hosts ${escapeLine(expression)}`),
    ...(forms === null ? [] : [`forms ${forms.join(',')}`]),
    ...(users === null ? [] : [users.length === 0 ? 'no sudo' : `sudo ${users.join(',')}`]),
    ...numbers,
    ...(limits.may_force ? [] : ['no force']),
    ...(limits.may_claim_read_only ? [] : ['no read_only']),
    ...(limits.may_name_hosts ? [] : ['no hosts of its own']),
  ]
  return words.join('; ')
}

function stateText({ revoked_at: revokedAt, expires_at: expiresAt }: ApiKey, nowMs: number): string {
  if (revokedAt !== null) return `revoked ${revokedAt}`
  if (expiresAt === null) return 'valid'
  return `${Date.parse(expiresAt) <= nowMs ? 'expired' : 'valid until'} ${expiresAt}`
}

function scopesText({ scopes }: ApiKey): string {
  return ALL_SCOPES.every((scope) => scopes.includes(scope)) ? 'all scopes' : scopes.join(',')
}
