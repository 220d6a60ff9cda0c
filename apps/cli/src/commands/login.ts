/** `muster login` and `muster logout`: keep a server with its key under a name, and forget it. */
import { MusterError } from '@muster/contract'
import type { Settings } from '@muster/runtime'
import { createClient, Refused } from '../client/client.ts'
import { addressOf, forgetServer, keepServer, knownNames } from '../client/known-servers.ts'
import { serverUrl } from '../client/server-url.ts'
import type { Form } from '../line/command.ts'
import type { CommandLine } from '../line/flags.ts'

/** The flags of `muster login`. */
export const LOGIN: Form = {
  flags: [],
  switches: [
    { name: 'name', takesValue: true, description: 'The name for --server. Default: the host name in the address.' },
    {
      name: 'allow-http',
      takesValue: false,
      description: 'Send the key over http:// to another machine, unencrypted: the network is yours alone.',
    },
  ],
}

/** The flags of `muster logout`. */
export const LOGOUT: Form = { flags: [], switches: [] }

/** What both are given besides the command line. */
export type LoginOptions = {
  readonly settings: Settings
  /** Asks for a secret, or reads it from a pipe. */
  readonly askSecret: (question: string) => Promise<string>
  readonly say: (line: string) => void
}

/**
 * Asks for a key, tries it at the server, and keeps both. Resolves with the exit status.
 * @throws {Refused} when the server does not know the key
 * @throws {MusterError} `invalid_request`, `invalid_config`
 */
export async function login({ words, switches }: CommandLine, options: LoginOptions): Promise<number> {
  const address = oneWord(words, 'muster login takes the address of a server')
  const allowsHttp = switches.has('allow-http')
  const url = serverUrl(address, { source: 'the address', allowsHttp })
  const given = switches.get('name')
  const name = String(given ?? new URL(url).hostname)
  const other = await addressOf(options.settings.places.userStateDir, name)
  if (given === undefined && other !== undefined && other !== url) {
    throw new MusterError('invalid_request', `"${name}" is the name of ${other}; name this one: --name NAME`)
  }
  const apiKey = (await options.askSecret(`API key for ${url}: `)).trim()
  if (apiKey === '') throw new MusterError('invalid_request', 'no API key was given, on the terminal or on stdin')
  await tryKey({ url, apiKey })
  const file = await keepServer(options.settings.places.userStateDir, name, { url, apiKey, allowsHttp })
  options.say(`Logged in to ${url}; its key is in ${file}. Use it with --server ${name}, or set MUSTER_SERVER=${name}`)
  return 0
}

/**
 * Forgets a server. Resolves with the exit status.
 * @throws {MusterError} `invalid_request`, `invalid_config`
 */
export async function logout({ words }: CommandLine, { settings, say }: LoginOptions): Promise<number> {
  const { userStateDir } = settings.places
  const names = await knownNames(userStateDir)
  const name = oneWord(words, `muster logout takes the name of a server (known: ${names.join(', ') || 'none'})`)
  await forgetServer(userStateDir, name)
  say(`Forgot ${name} and its key. The key is still valid: muster keys revoke ends it`)
  return 0
}

function oneWord(words: readonly string[], needed: string): string {
  const [word, second] = words
  if (word === undefined) throw new MusterError('invalid_request', needed)
  if (second === undefined) return word
  // The second word may be a key.
  throw new MusterError('invalid_request', `${needed}, and nothing else: a key is read from stdin`)
}

/** Makes sure that the server knows the key. A key that may not list jobs is known all the same. */
async function tryKey(server: { url: string; apiKey: string }): Promise<void> {
  try {
    await createClient(server).call('list_jobs', { limit: 1 })
  } catch (error) {
    if (!(error instanceof Refused) || error.problem.code !== 'insufficient_scope') throw error
  }
}
