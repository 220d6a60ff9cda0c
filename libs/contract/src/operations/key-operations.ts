/** The rows of the operation table (operations.ts) about API keys: making, listing, rotating and revoking them. */
import { z } from 'zod'
import { ApiKey, KeyId, KeyOwner, READ_ONLY_SCOPES, Scope } from './api-key.ts'
import { limitFields } from './key-limits.ts'
import type { Operation } from './operation.ts'

const ofKey = { key_id: KeyId.describe('The ID of the key.') }

const NewApiKey = z
  .object({ key: z.string().describe('The text of the key, told this once.'), record: ApiKey })
  .meta({ id: 'NewApiKey' })

/** The rows, by operation name. */
export const KEY_OPERATIONS = {
  create_key: {
    scope: 'keys:manage',
    input: z
      .object({
        owner: KeyOwner.optional().describe(
          'Whose key it is; unless given, of the owner of the key that makes it. Keys of one owner see the same jobs.',
        ),
        scopes: z
          .array(Scope)
          .min(1)
          .max(20)
          .optional()
          .describe(`What it may do: ${Scope.options.join(', ')}.`),
        read_only: z
          .boolean()
          .default(false)
          .describe(`It may read and look, and run nothing: the scopes are ${READ_ONLY_SCOPES.join(', ')}.`),
        expires_in_s: z
          .number()
          .int()
          .min(1)
          .max(10 * 366 * 24 * 3600)
          .optional()
          .describe('The key expires after this many seconds; unless given, when its maker does.'),
        ...limitFields,
      })
      .refine(({ scopes, read_only }) => scopes !== undefined || read_only, {
        message: `is missing; what it may do: ${Scope.options.join(', ')}`,
        path: ['scopes'],
      })
      .refine(({ scopes = [], read_only }) => !read_only || scopes.every((scope) => READ_ONLY_SCOPES.includes(scope)), {
        message: `with read_only, only ${READ_ONLY_SCOPES.join(', ')} can be given`,
        path: ['scopes'],
      })
      .refine(({ no_sudo, sudo_users }) => !no_sudo || sudo_users === undefined, {
        message: 'no_sudo allows no user at all: give one of the two',
        path: ['sudo_users'],
      }),
    output: NewApiKey,
    rest: {
      method: 'POST',
      path: '/v1/keys',
      summary:
        'Make an API key. Its text is in this answer and nowhere else. No key can make one that may do more than ' +
        'itself: in scopes, hosts, limits or time; nor, without jobs:all, one for another owner.',
      status: 200,
    },
  },
  list_keys: {
    scope: 'keys:manage',
    input: z.object({}),
    output: z.object({ keys: z.array(ApiKey) }).meta({ id: 'KeyList' }),
    rest: {
      method: 'GET',
      path: '/v1/keys',
      summary:
        'List the API keys, revoked and expired ones too, newest first; without jobs:all, those of your own owner.',
      status: 200,
    },
  },
  rotate_key: {
    scope: 'keys:manage',
    input: z.object({
      ...ofKey,
      grace_s: z
        .number()
        .int()
        .min(0)
        .max(7 * 24 * 3600)
        .default(300)
        .describe('How long the old secret is accepted too.'),
    }),
    output: NewApiKey,
    rest: {
      method: 'POST',
      path: '/v1/keys/:key_id/rotate',
      summary:
        'Give an API key a new secret, which is in this answer and nowhere else. Its ID, scopes, limits and the keys ' +
        'below it stay. Only of a key that may do no more than your own and, without jobs:all, comes from it.',
      status: 200,
    },
  },
  revoke_key: {
    scope: 'keys:manage',
    input: z.object({
      ...ofKey,
      cancel_jobs: z
        .boolean()
        .default(false)
        .describe('Also cancel what these keys have running; needs the scope jobs:cancel.'),
    }),
    output: ApiKey.extend({
      children_revoked: z.array(KeyId).describe('The keys below it that were revoked with it.'),
      jobs_cancelled: z.number().int().describe('Jobs cancelled, with cancel_jobs.'),
    }).meta({ id: 'RevokedApiKey' }),
    rest: {
      method: 'POST',
      path: '/v1/keys/:key_id/revoke',
      summary:
        'Revoke an API key and all keys below it: within a second they are refused everywhere. What they have queued ' +
        'does not start; what runs goes on, unless cancel_jobs is given. Revoking twice does nothing more. The last ' +
        'key that can manage all others is not revoked.',
      status: 200,
    },
  },
} as const satisfies Record<string, Operation>
