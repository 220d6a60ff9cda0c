/**
 * API keys as callers see them: whose they are and what they may do. The text of a key is told once, when it is made.
 *
 * libs/access keeps and checks keys.
 */
import { z } from 'zod'
import { KeyLimits } from './key-limits.ts'

/** What each scope allows. */
export const SCOPES = {
  'jobs:read': 'Read jobs: states, counts, reasons, hosts; not what was run, nor what it printed.',
  'jobs:read:output': 'Read commands and their output too; brings jobs:read along.',
  'jobs:run': 'Run commands: submit, rerun and resume jobs, raise their limits.',
  'jobs:cancel': 'Cancel jobs.',
  'jobs:all': 'Do all this with the jobs and keys of all owners; with jobs:read, open Bull Board.',
  'hosts:read': 'See the hosts of the inventory and what a target expression selects.',
  'hosts:inspect': 'Test connections, list directories and check disk usage on hosts.',
  'keys:manage': 'Make, list and revoke API keys.',
} as const

/** One thing that a key may be allowed to do; {@link SCOPES} says what. */
export const Scope = z
  .enum([
    'jobs:read',
    'jobs:read:output',
    'jobs:run',
    'jobs:cancel',
    'jobs:all',
    'hosts:read',
    'hosts:inspect',
    'keys:manage',
  ])
  .meta({ id: 'Scope' })
export type Scope = z.infer<typeof Scope>

/** Every scope: what the first key has. */
export const ALL_SCOPES: readonly Scope[] = Scope.options

/** What a key may do that reads and looks, and runs nothing. */
export const READ_ONLY_SCOPES: readonly Scope[] = ['jobs:read', 'jobs:read:output', 'hosts:read', 'hosts:inspect']

/** A key ID: public, part of the text of the key, and shown in jobs and logs. */
export const KeyId = z.string().regex(/^[a-z0-9]{1,32}$/, 'a key ID has 1 to 32 lower-case letters and digits')

/** The owner of keys and jobs: a person, a team or a program. Keys of one owner see the same jobs. */
export const KeyOwner = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/, 'an owner has up to 64 letters, digits, ".", "_", "@" and "-"')

/** A key without its text. */
export const ApiKey = z
  .object({
    key_id: KeyId,
    owner: KeyOwner,
    scopes: z.array(Scope),
    created_at: z.iso.datetime(),
    created_by: KeyId.nullable().describe(
      'The key that made it; null for the first key and for one from MUSTER_API_KEY.',
    ),
    expires_at: z.iso.datetime().nullable().describe('From then on it is refused; null: it does not expire.'),
    revoked_at: z.iso.datetime().nullable().describe('Since when it is refused; null: it is not revoked.'),
    old_secret_until: z.iso
      .datetime()
      .nullable()
      .describe('Until when the secret from before the last rotation is accepted too; null: it was never rotated.'),
    limits: KeyLimits,
  })
  .meta({ id: 'ApiKey' })
export type ApiKey = z.infer<typeof ApiKey>
