/** API keys as people see them. Pure; never sees the text of a key. */
import { ALL_SCOPES, type ApiKey } from '@muster/contract'
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
  ])
  return tableText(['KEY', 'OWNER', 'STATE', 'CREATED', 'BY', 'SCOPES'], rows)
}

/** The line about a key that was just made. */
export function keyText(key: ApiKey): string {
  const { key_id: keyId, owner, expires_at: expiresAt } = key
  return `${keyId} of ${owner} with ${scopesText(key)}${expiresAt === null ? '' : `, until ${expiresAt}`}`
}

function stateText({ revoked_at: revokedAt, expires_at: expiresAt }: ApiKey, nowMs: number): string {
  if (revokedAt !== null) return `revoked ${revokedAt}`
  if (expiresAt === null) return 'valid'
  return `${Date.parse(expiresAt) <= nowMs ? 'expired' : 'valid until'} ${expiresAt}`
}

function scopesText({ scopes }: ApiKey): string {
  return ALL_SCOPES.every((scope) => scopes.includes(scope)) ? 'all scopes' : scopes.join(',')
}
