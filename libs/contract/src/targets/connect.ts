/** How hosts are reached that a request names itself, and the inventory does not have. */
import { z } from 'zod'
import { isOneHost, LOGIN_USER } from './request-host.ts'

/** Most hosts to go through, one after another. */
const JUMPS_LIMIT = 4

const Jump = z
  .string()
  .max(1_500)
  .refine((text) => {
    const hops = text.split(',')
    return hops.length <= JUMPS_LIMIT && hops.every(isOneHost)
  }, `expected a host of the inventory, or user@host:port; at most ${JUMPS_LIMIT}, separated by ","`)

/** The fields of `connect` that are no secrets; those are in connect-secrets.ts. */
export const Connect = z
  .strictObject({
    user: z
      .string()
      .regex(LOGIN_USER, 'expected a user name of letters, digits, ".", "_", "-" and "+"')
      .optional()
      .describe('The user to log in as, where the target names none.'),
    port: z.number().int().min(1).max(65_535).optional().describe('The port, where the target names none; else 22.'),
    jump: Jump.optional().describe(
      'The host to go through: one of the inventory, or user@host:port; several, in their order, separated by ",".',
    ),
    identity_file: z
      .string()
      .max(4_095)
      .regex(/^(\/|~\/)[^\p{Cc}]+$/u, 'expected a path that begins with / or ~/')
      .optional()
      .describe('A key file on the worker, in one of the directories that its operator named (MUSTER_ADHOC_KEY_DIRS).'),
    credential: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'expected a name from the section credentials of the inventory')
      .optional()
      .describe('A name from the section credentials of the inventory: only this is offered.'),
    host_key: z
      .string()
      .regex(/^SHA256:[A-Za-z0-9+/]{43}$/, 'expected a fingerprint: SHA256: and 43 characters, as ssh-keygen -lf shows')
      .optional()
      .describe('The fingerprint of the key that the host must show.'),
  })
  .refine(({ identity_file, credential }) => identity_file === undefined || credential === undefined, {
    message: 'a key file and a credential were given: give one of the two',
    path: ['credential'],
  })
export type Connect = z.infer<typeof Connect>

/** The field of a request. */
export const connectField = Connect.optional().describe(
  'How to reach the hosts that the targets name as user@host, or that the inventory does not have.',
)
