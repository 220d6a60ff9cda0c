/**
 * `muster keys`: lists, makes, rotates and revokes API keys. Of a new key, only its text goes to stdout, to be piped.
 */
import { MusterError, OPERATIONS, visibleJson } from '@muster/contract'
import { checkedInput } from '../line/checked-input.ts'
import { type Cli, JSON_SWITCH, type ServerCommand } from '../line/command.ts'
import { type CommandLine, flagsOf } from '../line/flags.ts'
import { keysText, keyText } from '../render/render-keys.ts'

const USAGE = 'muster keys, muster keys create --owner NAME --scopes …, or muster keys rotate or revoke <key ID>'

/** The operation of each form, whose fields are the flags that it takes. */
const VERBS = { list: 'list_keys', create: 'create_key', rotate: 'rotate_key', revoke: 'revoke_key' } as const
type Verb = keyof typeof VERBS

const ACTS: { readonly [V in Verb]: (cli: Cli, line: CommandLine, words: readonly string[]) => Promise<number> } = {
  list: listKeys,
  create: createKey,
  rotate: rotateKey,
  revoke: revokeKey,
}

/** `muster keys`. */
export const keysCommand: ServerCommand = {
  flags: Object.values(VERBS).flatMap((name) => flagsOf(OPERATIONS[name].input, ['key_id'])),
  switches: [JSON_SWITCH],
  act: async (cli, line) => {
    const [given = 'list', ...words] = line.words
    if (!isVerb(given)) {
      throw new MusterError('invalid_request', `muster keys does not know "${given}"; the forms are ${USAGE}`)
    }
    refuseOtherFlags(given, line)
    return await ACTS[given](cli, line, words)
  },
}

function isVerb(word: string): word is Verb {
  return Object.hasOwn(VERBS, word)
}

function refuseOtherFlags(verb: Verb, { fields }: CommandLine): void {
  const flag = Object.keys(fields).find((field) => !Object.hasOwn(OPERATIONS[VERBS[verb]].input.shape, field))
  if (flag === undefined) return
  const spelled = `--${flag.replaceAll('_', '-')}`
  const others = Object.keys(VERBS)
    .filter(isVerb)
    .filter((one) => Object.hasOwn(OPERATIONS[VERBS[one]].input.shape, flag))
  const message = `${spelled} is for muster keys ${others.join(', ')} alone; the forms are ${USAGE}`
  throw new MusterError('invalid_request', message)
}

async function listKeys(cli: Cli, { switches }: CommandLine, words: readonly string[]): Promise<number> {
  refuseMore(words)
  const { keys } = await cli.client.call('list_keys', {})
  cli.out(switches.has('json') ? `${visibleJson({ keys })}\n` : keysText(keys, Date.now()))
  return 0
}

async function createKey(cli: Cli, { fields, switches }: CommandLine, words: readonly string[]): Promise<number> {
  refuseMore(words)
  const { key, record } = await cli.client.call('create_key', checkedInput('create_key', fields))
  cli.out(switches.has('json') ? `${visibleJson({ key, record })}\n` : `${key}\n`)
  cli.say(`Made the API key ${keyText(record)}. Its text is shown this once and kept nowhere.`)
  return 0
}

async function rotateKey(cli: Cli, { fields, switches }: CommandLine, words: readonly string[]): Promise<number> {
  const key_id = oneKey(words)
  const { key, record } = await cli.client.call('rotate_key', checkedInput('rotate_key', { key_id, ...fields }))
  cli.out(switches.has('json') ? `${visibleJson({ key, record })}\n` : `${key}\n`)
  cli.say(`The old secret of ${key_id} is accepted until ${record.old_secret_until}.`)
  if (key_id === 'first') cli.say('Put the new text into the file api-key of the server’s data directory, too.')
  return 0
}

async function revokeKey(cli: Cli, { fields, switches }: CommandLine, words: readonly string[]): Promise<number> {
  const key_id = oneKey(words)
  const key = await cli.client.call('revoke_key', checkedInput('revoke_key', { key_id, ...fields }))
  const children = key.children_revoked.length === 0 ? '' : `, and with it ${key.children_revoked.join(', ')}`
  const jobs = key.jobs_cancelled === 0 ? '' : `; ${key.jobs_cancelled} of their jobs cancelled`
  const line = `${key_id} of ${key.owner}, revoked ${key.revoked_at}${children}${jobs}\n`
  cli.out(switches.has('json') ? `${visibleJson(key)}\n` : line)
  return 0
}

function oneKey([keyId, ...more]: readonly string[]): string {
  if (keyId === undefined) throw new MusterError('invalid_request', `no key ID given; the forms are ${USAGE}`)
  refuseMore(more)
  return keyId
}

function refuseMore([word]: readonly string[]): void {
  if (word === undefined) return
  throw new MusterError('invalid_request', `"${word}" is one word too many; the forms are ${USAGE}`)
}
