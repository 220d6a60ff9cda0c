/** The flags for hosts that a command line names itself, `user@host`: those of ssh where ssh has one. */
import { Connect } from '@muster/contract'
import { type CommandLine, flagsOf, numberOrText, type Switch } from './flags.ts'

/** Where a flag is spelled as in ssh, and not as its field. */
const SPELLED: Readonly<Record<string, { readonly name?: string; readonly short: string }>> = {
  user: { name: 'login-user', short: 'l' },
  port: { short: 'p' },
  jump: { short: 'J' },
}

const FLAGS = flagsOf(Connect).map((flag) => ({ ...flag, ...SPELLED[flag.field] }))

/** Those of its fields that are secrets (login-input.ts). */
const SECRETS = [
  { name: 'private-key', field: 'private_key' },
  { name: 'ask-passphrase', field: 'passphrase' },
  { name: 'ask-pass', field: 'password' },
] as const

/** The switches of the commands that reach hosts. They are for hosts that the inventory does not have. */
export const CONNECT_SWITCHES: readonly Switch[] = FLAGS.map(({ name, short, description }) => {
  return { name, ...(short === undefined ? {} : { short }), takesValue: true, description }
})

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
  const given = FLAGS.flatMap(({ name, field, kind }) => {
    const value = switches.get(name)
    return value === undefined ? [] : [[field, kind === 'number' ? numberOrText(String(value)) : value] as const]
  })
  const connect = { ...Object.fromEntries(given), ...login }
  return Object.keys(connect).length === 0 ? {} : { connect }
}
