/**
 * The secrets of `connect`: what a request itself brings to log in with. They are sealed with the other secrets of the
 * job (jobs/secrets.ts), and offered to no host but those that the request names.
 */
import { z } from 'zod'
import { isEncryptedKey, isPrivateKey } from '../text/private-key.ts'
import { Connect } from './connect.ts'

/** Most characters of a password, and of a passphrase. */
const PASSWORD_CHARS = 1_024
/** The longest RSA keys have 13,000. */
const KEY_CHARS = 32 * 1_024

const OneLine = z
  .string()
  .min(1)
  .max(PASSWORD_CHARS)
  .refine((text) => !/[\n\r\0]/.test(text), 'it is not one line')

const loginSecretFields = {
  password: OneLine.optional().describe('The password to log in with. Sealed: only workers read it.'),
  private_key: z
    .string()
    .max(KEY_CHARS)
    .refine(isPrivateKey, 'it is no private key: give the text of one, from its BEGIN line to its END line')
    .optional()
    .describe('The text of a private key to log in with. Sealed: only workers read it.'),
  passphrase: OneLine.optional().describe('The passphrase of private_key or identity_file. Sealed.'),
}

/** The secrets of `connect`, as they are sealed. */
export const LoginSecrets = z.strictObject(loginSecretFields)
export type LoginSecrets = z.infer<typeof LoginSecrets>

/** How hosts are reached that the request names itself, and the secrets for that. */
export const ConnectWithSecrets = z
  .strictObject({ ...Connect.shape, ...loginSecretFields })
  .refine(({ identity_file: file, credential, private_key: key }) => isAtMostOne(file, credential, key), {
    message: 'of identity_file, credential and private_key, give one',
    path: ['credential'],
  })
  .refine(({ credential, password }) => isAtMostOne(credential, password), {
    message: 'a credential and a password were given: give one of the two',
    path: ['password'],
  })
  .refine(({ identity_file: file, private_key: key, passphrase }) => !passphrase || (file ?? key) !== undefined, {
    message: 'a passphrase was given, but neither private_key nor identity_file',
    path: ['passphrase'],
  })
  .refine(({ private_key: key, passphrase }) => passphrase !== undefined || !isEncryptedKey(key ?? ''), {
    message: 'the private key is encrypted: give its passphrase too',
    path: ['passphrase'],
  })

/** The field of a request that may bring secrets. */
export const connectWithSecretsField = ConnectWithSecrets.optional().describe(
  'How to reach the hosts that the targets name as user@host, or that the inventory does not have.',
)

/** The secrets of `connect`; undefined when there are none. */
export function loginSecretsIn({ password, private_key, passphrase }: LoginSecrets): LoginSecrets | undefined {
  const secrets: LoginSecrets = {
    ...(password === undefined ? {} : { password }),
    ...(private_key === undefined ? {} : { private_key }),
    ...(passphrase === undefined ? {} : { passphrase }),
  }
  return Object.keys(secrets).length === 0 ? undefined : secrets
}

/** What `connect` says besides its secrets; undefined when that is nothing. */
export function withoutLoginSecrets(connect: z.infer<typeof ConnectWithSecrets> | undefined): Connect | undefined {
  const { password: _password, private_key: _key, passphrase: _phrase, ...way } = connect ?? {}
  return Object.keys(way).length === 0 ? undefined : way
}

function isAtMostOne(...given: unknown[]): boolean {
  return given.filter((one) => one !== undefined).length <= 1
}
