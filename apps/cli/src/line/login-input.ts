/**
 * What a command line brings to log in with on the hosts that it names itself: a key of this machine, and a password
 * that is asked for. Both are sealed; neither is ever on a command line.
 */
import { isEncryptedKey, isPrivateKey, MusterError } from '@muster/contract'
import { secretOf } from './ask-secret.ts'
import type { Cli } from './command.ts'
import type { CommandLine, Switch } from './flags.ts'
import { readInputFile } from './input-file.ts'

/** The flags. */
export const LOGIN_SWITCHES: readonly Switch[] = [
  {
    name: 'private-key',
    short: 'i',
    takesValue: true,
    description: 'Log in on user@host with this key file of yours, sealed; asks for its passphrase.',
  },
  {
    name: 'ask-pass',
    takesValue: false,
    description: 'Ask for the password of user@host, without showing it; in a pipe, read it from stdin.',
  },
  {
    name: 'ask-passphrase',
    takesValue: false,
    description: 'Ask for the passphrase of --identity-file, in the same way.',
  },
]

const LOGIN = { flag: 'ask-pass', what: 'password', question: 'Password to log in: ' } as const

const PASSPHRASE = {
  flag: 'ask-passphrase',
  what: 'passphrase',
  question: 'Passphrase of the key file on the worker: ',
} as const

const passphraseOf = (file: string) =>
  ({ flag: 'private-key', what: 'passphrase', question: `Passphrase of ${file}: ` }) as const

/**
 * The key, without its passphrase; undefined when the command line names none.
 * @throws {MusterError} invalid_request: the file cannot be read, or is no private key
 */
export async function keyOf({ switches }: CommandLine): Promise<{ file: string; text: string } | undefined> {
  const file = switches.get('private-key')
  if (file === undefined) return undefined
  const text = await readInputFile({ flag: 'private-key', file: String(file) })
  if (isPrivateKey(text)) return { file: String(file), text }
  const hint = String(file).endsWith('.pub') ? '; a .pub file is the public half: give the file without .pub' : ''
  throw new MusterError('invalid_request', `--private-key: ${file} is no private key${hint}`)
}

/**
 * The secrets to log in with, as fields of `connect`; undefined when there are none. `stdinUsers` are the flags that
 * read our stdin.
 * @throws {MusterError} invalid_request: no password or passphrase was given, or there is no terminal to ask on
 */
export async function loginSecretsFrom(
  cli: Cli,
  { switches }: CommandLine,
  { key, stdinUsers }: { key: Awaited<ReturnType<typeof keyOf>>; stdinUsers: readonly string[] },
): Promise<Record<string, string> | undefined> {
  const isEncrypted = key !== undefined && isEncryptedKey(key.text)
  if (isEncrypted && !cli.hasTerminal && stdinUsers.length > 0) {
    const others = stdinUsers.join(' and ')
    const why = `${key.file} is encrypted, and ${others} reads the stdin that would give its passphrase`
    throw new MusterError('invalid_request', `--private-key: ${why}`)
  }
  const secrets = {
    ...(key === undefined ? {} : { private_key: key.text }),
    ...(isEncrypted ? { passphrase: await secretOf(cli, passphraseOf(key.file)) } : {}),
    ...(switches.has('ask-passphrase') ? { passphrase: await secretOf(cli, PASSPHRASE) } : {}),
    ...(switches.has('ask-pass') ? { password: await secretOf(cli, LOGIN) } : {}),
  }
  return Object.keys(secrets).length === 0 ? undefined : secrets
}
