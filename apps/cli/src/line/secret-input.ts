/**
 * The secrets of a command line: none of them is on it. A password is asked for on the terminal, variables come from
 * the environment or a file, and stdin is our own.
 */
import { parseEnv } from 'node:util'
import { MusterError, shellWord } from '@muster/contract'
import { secretOf } from './ask-secret.ts'
import type { Cli } from './command.ts'
import type { CommandLine, Flag, Switch } from './flags.ts'
import { readInputFile } from './input-file.ts'
import { keyOf, LOGIN_SWITCHES, loginSecretsFrom } from './login-input.ts'

const SUDO = { flag: 'ask-sudo-pass', what: 'password', question: 'Password for sudo: ' } as const

/** The fields of an operation that are given in this way. */
export const SECRET_FIELDS = ['sudo_password', 'secret_env', 'secret_stdin'] as const

/** The flag that takes names of variables. */
export const SECRET_FLAG: Flag = {
  name: 'secret-env',
  field: 'secret_env',
  kind: 'list',
  description: 'Names of variables of your environment that the command gets, sealed.',
  defaultText: undefined,
}

/** The other flags. */
export const SECRET_SWITCHES: readonly Switch[] = [
  {
    name: 'ask-sudo-pass',
    takesValue: false,
    description: 'Ask for the password for sudo, without showing it; in a pipe, read it from stdin.',
  },
  {
    name: 'secret-env-file',
    takesValue: true,
    description: 'More such variables from this file, one NAME=value a line.',
  },
  {
    name: 'secret-stdin',
    takesValue: false,
    description: 'Pass our own stdin to the command, sealed. All secrets together have at most 256 KiB.',
  },
  ...LOGIN_SWITCHES,
]

/** Which flags would read our stdin. */
export function stdinUsers({ switches }: CommandLine, { hasTerminal }: Pick<Cli, 'hasTerminal'>): string[] {
  const files = ['script', 'stdin', 'secret-env-file', 'private-key'].filter((name) => switches.get(name) === '-')
  const questions = ['ask-pass', 'ask-passphrase', 'ask-sudo-pass'].filter((name) => switches.has(name) && !hasTerminal)
  const input = switches.has('secret-stdin') ? ['secret-stdin'] : []
  return [...files, ...input, ...questions].map((name) => `--${name}`)
}

/**
 * The secrets, as fields of a request.
 * @throws {MusterError} invalid_request: a variable is not set or given twice, a file cannot be read, stdin has two
 *   users, or no password was given
 */
export async function secretsFrom(
  cli: Cli,
  line: CommandLine,
): Promise<Record<string, unknown> & { readonly connect?: Record<string, string> }> {
  const users = stdinUsers(line, cli)
  if (users.length > 1) {
    throw new MusterError('invalid_request', `${users.join(' and ')} cannot both read stdin: there is one`)
  }
  const variables = { ...(await variablesOf(cli, line)) }
  const key = await keyOf(line)
  // Asked for last, so that nobody types a password into a command line that is refused.
  const secrets = {
    ...(Object.keys(variables).length === 0 ? {} : { secret_env: variables }),
    ...(line.switches.has('secret-stdin')
      ? { secret_stdin: await readInputFile({ flag: 'secret-stdin', file: '-' }) }
      : {}),
  }
  const login = await loginSecretsFrom(cli, line, { key, stdinUsers: users })
  const sudo = line.switches.has('ask-sudo-pass') ? { sudo_password: await secretOf(cli, SUDO) } : {}
  return { ...secrets, ...(login === undefined ? {} : { connect: login }), ...sudo }
}

async function variablesOf({ env }: Cli, { fields, switches }: CommandLine): Promise<Record<string, string>> {
  const names = Array.isArray(fields.secret_env) ? fields.secret_env.map(String) : []
  const file = switches.get('secret-env-file')
  const inFile = file === undefined ? {} : await variablesIn(String(file))
  const all = [...names, ...Object.keys(inFile)]
  const twice = all.find((name, i) => all.indexOf(name) < i)
  if (twice !== undefined) throw mistake(`${shellWord(twice)} is given more than once`)
  const given = names.map((name): [string, string] => {
    const value = env[name]
    if (value === undefined) {
      const hint = name.includes('=') ? 'give its name alone: a value on a command line can be seen by others' : ''
      throw mistake(hint || `${shellWord(name)} is not set in your environment; export it, or use --secret-env-file`)
    }
    return [name, value]
  })
  return { ...inFile, ...Object.fromEntries(given) }
}

async function variablesIn(file: string): Promise<Record<string, string>> {
  const text = await readInputFile({ flag: 'secret-env-file', file })
  const entries = Object.entries(parseEnv(text)).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value]],
  )
  if (entries.length > 0) return Object.fromEntries(entries)
  throw new MusterError('invalid_request', `--secret-env-file: ${file} has no line NAME=value`)
}

function mistake(why: string): MusterError {
  return new MusterError('invalid_request', `--secret-env: ${why}`)
}
