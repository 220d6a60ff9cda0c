/** `muster keys`: lists, makes and revokes API keys. Of a new key, only its text goes to stdout, to be piped. */
import { MusterError, OPERATIONS, visibleJson } from '@muster/contract'
import { checkedInput } from '../line/checked-input.ts'
import { type Cli, type Command, JSON_SWITCH } from '../line/command.ts'
import { type CommandLine, flagsOf } from '../line/flags.ts'
import { keysText, keyText } from '../render/render-keys.ts'

const USAGE = 'muster keys, muster keys create --owner NAME --scopes …, or muster keys revoke <key ID>'

/** `muster keys`. */
export const keysCommand: Command = {
  flags: flagsOf(OPERATIONS.create_key.input),
  switches: [JSON_SWITCH],
  act: async (cli, line) => {
    const [verb = 'list', ...words] = line.words
    if (verb === 'create') return await createKey(cli, line, words)
    const [flag] = Object.keys(line.fields)
    if (flag !== undefined) {
      const spelled = `--${flag.replaceAll('_', '-')}`
      throw new MusterError('invalid_request', `${spelled} is for muster keys create alone; the forms are ${USAGE}`)
    }
    if (verb === 'list') return await listKeys(cli, line, words)
    if (verb === 'revoke') return await revokeKey(cli, line, words)
    throw new MusterError('invalid_request', `muster keys does not know "${verb}"; the forms are ${USAGE}`)
  },
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

async function revokeKey(cli: Cli, { switches }: CommandLine, words: readonly string[]): Promise<number> {
  const [key_id, ...more] = words
  if (key_id === undefined) throw new MusterError('invalid_request', `no key ID given; the forms are ${USAGE}`)
  refuseMore(more)
  const key = await cli.client.call('revoke_key', checkedInput('revoke_key', { key_id }))
  cli.out(switches.has('json') ? `${visibleJson(key)}\n` : `${key_id} of ${key.owner}, revoked ${key.revoked_at}\n`)
  return 0
}

function refuseMore([word]: readonly string[]): void {
  if (word === undefined) return
  throw new MusterError('invalid_request', `"${word}" is one word too many; the forms are ${USAGE}`)
}
