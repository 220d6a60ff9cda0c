/** The rows of the operation table (operations.ts) about API keys: making, listing and revoking them. */
import { z } from 'zod'
import { ApiKey, KeyId, KeyOwner, Scope } from './api-key.ts'
import type { Operation } from './operation.ts'

/** The rows, by operation name. */
export const KEY_OPERATIONS = {
  create_key: {
    scope: 'keys:manage',
    input: z.object({
      owner: KeyOwner.describe('Whose key it is. Keys of one owner see the same jobs.'),
      scopes: z
        .array(Scope)
        .min(1)
        .max(20)
        .describe(`What it may do: ${Scope.options.join(', ')}.`),
      expires_in_s: z
        .number()
        .int()
        .min(1)
        .max(10 * 366 * 24 * 3600)
        .optional()
        .describe('The key expires after this many seconds, or never unless given.'),
    }),
    output: z
      .object({ key: z.string().describe('The text of the key, told this once.'), record: ApiKey })
      .meta({ id: 'NewApiKey' }),
    rest: {
      method: 'POST',
      path: '/v1/keys',
      summary:
        'Make an API key. Its text is in this answer and nowhere else. No key can grant a scope that it does not ' +
        'have, or make a key for another owner without jobs:all.',
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
  revoke_key: {
    scope: 'keys:manage',
    input: z.object({ key_id: KeyId.describe('The ID of the key.') }),
    output: ApiKey,
    rest: {
      method: 'POST',
      path: '/v1/keys/:key_id/revoke',
      summary:
        'Revoke an API key: within a second it is refused everywhere. Its jobs go on. Revoking twice does nothing ' +
        'more. The last key that can manage all others is not revoked.',
      status: 200,
    },
  },
} as const satisfies Record<string, Operation>
