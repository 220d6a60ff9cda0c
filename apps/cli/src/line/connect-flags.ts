/** The flags for hosts that a command line names itself, `user@host`: those of ssh where ssh has one. */
import { type CommandLine, numberOrText, type Switch } from './flags.ts'

/** Each flag, and the field of `connect` that it is. */
const FLAGS = [
  { name: 'login-user', short: 'l', field: 'user', description: 'Log in as this user, where the target names none.' },
  { name: 'port', short: 'p', field: 'port', description: 'The port of SSH, where the target names none.' },
  {
    name: 'jump',
    short: 'J',
    field: 'jump',
    description: 'Go through this host: one of the inventory, or user@host:port; several, separated by ",".',
  },
  {
    name: 'identity-file',
    field: 'identity_file',
    description: 'Log in with this key file on the worker, in a directory that its operator has named for that.',
  },
  { name: 'credential', field: 'credential', description: 'Log in with this entry of credentials in the inventory.' },
  { name: 'host-key', field: 'host_key', description: 'The host must show the key with this fingerprint: SHA256:…' },
] as const

/** Those of its fields that are secrets (login-input.ts). */
const SECRETS = [
  { name: 'private-key', field: 'private_key' },
  { name: 'private-key', field: 'passphrase' },
  { name: 'ask-pass', field: 'password' },
] as const

/** The switches of the commands that reach hosts. They are for hosts that the inventory does not have. */
export const CONNECT_SWITCHES: readonly Switch[] = FLAGS.map(({ field: _field, ...flag }) => ({
  ...flag,
  takesValue: true,
}))

/** A field of `connect` as the command line spells it; `connect` itself where no single field is meant. */
export function connectFlagOf(field: PropertyKey | undefined): string {
  const flag = [...FLAGS, ...SECRETS].find((one) => one.field === field)
  return flag === undefined ? 'connect' : `--${flag.name}`
}

/** The field `connect` of a request, with what there is to log in; nothing when no flag is given. */
export function connectOf(
  { switches }: CommandLine,
  login: Readonly<Record<string, string>> = {},
): { connect?: Record<string, unknown> } {
  const given = FLAGS.flatMap(({ name, field }) => {
    const value = switches.get(name)
    return value === undefined ? [] : [[field, field === 'port' ? numberOrText(String(value)) : value] as const]
  })
  const connect = { ...Object.fromEntries(given), ...login }
  return Object.keys(connect).length === 0 ? {} : { connect }
}
