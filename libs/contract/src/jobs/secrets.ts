/**
 * The secrets of a job: what a request gives that nobody but a worker may read. A server seals them for the workers
 * (libs/trust); they are no part of the job's options, and no answer shows them.
 */
import { z } from 'zod'
import { LoginSecrets, loginSecretsIn } from '../targets/connect-secrets.ts'
import { Environment, InputText } from '../text/command-text.ts'

/** Most bytes of all secrets of a job together. They are kept in memory by every worker that runs the job. */
const SECRETS_LIMIT_BYTES = 256 * 1024

/** sudo 1.8 reads this much and leaves the rest in the command's input. @see sudo_plugin.h, SUDO_CONV_REPL_MAX */
const SUDO_PASSWORD_LIMIT_BYTES = 255

/** A password as sudo takes it from its prompt. */
export const SudoPassword = z
  .string()
  .min(1)
  .refine((text) => !/[\n\r\0]/.test(text) && Buffer.byteLength(text) <= SUDO_PASSWORD_LIMIT_BYTES, {
    message: `the sudo password is not one line of at most ${SUDO_PASSWORD_LIMIT_BYTES} bytes`,
  })

/** The fields of a request that are secrets. Those of `connect` are in it (targets/connect-secrets.ts). */
export const secretFields = {
  sudo_password: SudoPassword.optional().describe(
    'The password for sudo on all hosts of the job, instead of that of the inventory. Sealed: only workers read it.',
  ),
  secret_env: Environment.optional().describe(
    'Environment variables like env, but sealed: only workers read them, and they are gone with the job.',
  ),
  secret_stdin: InputText.optional().describe(
    'What the command reads on stdin, like stdin, but sealed. All secrets of a job have at most 256 KiB.',
  ),
}

/** The secrets of a job, as they are sealed. A field that a worker does not know is one that it must not leave out. */
export const JobSecrets = z.strictObject({ ...secretFields, connect: LoginSecrets.optional() })
export type JobSecrets = z.infer<typeof JobSecrets>

/** What is said of secrets that are too long. */
export const SECRETS_TOO_LONG = `all secrets of a job together are longer than ${SECRETS_LIMIT_BYTES} bytes`

/** Whether a job may have these secrets, by their length. */
export function areSecretsWithin(given: JobSecrets): boolean {
  return valuesOf(given).reduce((sum, text) => sum + Buffer.byteLength(text), 0) <= SECRETS_LIMIT_BYTES
}

/** The secrets among the fields of a request; undefined when there are none. */
export function secretsIn(given: JobSecrets): JobSecrets | undefined {
  const { sudo_password, secret_env, secret_stdin } = given
  const connect = given.connect && loginSecretsIn(given.connect)
  const secrets: JobSecrets = {
    ...(sudo_password === undefined ? {} : { sudo_password }),
    ...(secret_env === undefined || Object.keys(secret_env).length === 0 ? {} : { secret_env }),
    ...(secret_stdin === undefined ? {} : { secret_stdin }),
    ...(connect === undefined ? {} : { connect }),
  }
  return Object.keys(secrets).length === 0 ? undefined : secrets
}

/** What they are called: `sudo_password`, `secret_env.NAME`, `connect.password` and so on. Names are no secrets. */
export function secretNames({ sudo_password, secret_env = {}, secret_stdin, connect = {} }: JobSecrets): string[] {
  return [
    ...(sudo_password === undefined ? [] : ['sudo_password']),
    ...Object.keys(secret_env).map((name) => `secret_env.${name}`),
    ...(secret_stdin === undefined ? [] : ['secret_stdin']),
    ...Object.keys(loginSecretsIn(connect) ?? {}).map((name) => `connect.${name}`),
  ]
}

/** The texts that must not be seen anywhere. */
export function valuesOf({ sudo_password, secret_env = {}, secret_stdin, connect = {} }: JobSecrets): string[] {
  const { password, passphrase, private_key } = connect
  const login = [password, passphrase, private_key]
  return [sudo_password, ...Object.values(secret_env), secret_stdin, ...login].filter((text) => text !== undefined)
}
