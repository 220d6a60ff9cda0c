/**
 * `muster worker-keys` and `muster server-keys`: make, rotate, drop and list the keys of workers and of servers. They
 * work on files of this machine and talk to no server.
 */
import { resolve } from 'node:path'
import { MusterError, visibleJson } from '@muster/contract'
import { parseConfig, type Settings } from '@muster/runtime'
import {
  type AnyKey,
  dropOldKeys,
  type KeyKind,
  type KeySet,
  keyFiles,
  kindOf,
  makeKeys,
  readPrivateKeys,
  rotateKeys,
  SERVER_KEYS,
  WORKER_KEYS,
} from '@muster/trust'
import { CliConfig } from '../client/config.ts'
import { type Form, JSON_SWITCH } from '../line/command.ts'
import type { CommandLine } from '../line/flags.ts'

/** The flags of both commands. */
export const KEY_FILES: Form = { flags: [], switches: [JSON_SWITCH] }

/** What the command writes to. */
type Out = { readonly out: (text: string) => void; readonly say: (line: string) => void }

/** What a form did: its answer as JSON, what it prints, and what there is to do now. */
type Done = { readonly answer: object; readonly text: string; readonly advice?: string }

/** What keys of each kind are for. */
const USES: Readonly<Record<KeyKind, string>> = {
  X25519: 'seals secrets',
  'P-256': 'signs ends',
  Ed25519: 'signs work',
  oct: 'protects API keys',
}

/** What to set, in words for those who hold the private halves and for those who have the public ones. */
const SETTINGS = {
  'worker-keys': ['Workers: MUSTER_WORKER_KEY_FILE', 'Servers: MUSTER_WORKER_PUBLIC_KEY_FILE'],
  'server-keys': ['Servers: MUSTER_SERVER_KEY_FILE', 'Workers: MUSTER_SERVER_PUBLIC_KEY_FILE'],
} as const

/** What else there is to do after a rotation. */
const ROTATED = {
  'worker-keys': 'Give the private file to all workers first, then the public one to servers',
  'server-keys': 'Give the public file to all workers, and the private one to all servers',
} as const

type Act = <K extends AnyKey, P extends AnyKey>(set: KeySet<K, P>, directory: string) => Promise<Done>

const ACTS: Readonly<Record<string, Act>> = {
  list: async (set, directory) => {
    const keys = (await readPrivateKeys(set, keyFiles(set, directory).privateFile)).map((key) => ({
      key_id: key.kid,
      made_at: key.made_at ?? null,
      use: USES[kindOf(key)],
    }))
    const lines = keys.map(({ key_id, made_at, use }) => `${key_id.padEnd(43)}  ${made_at ?? '–'}  ${use}\n`)
    return { answer: { ...filesOf(set, directory), keys }, text: lines.join('') }
  },
  make: async (set, directory) => {
    const { made, privateFile, publicFile } = await makeKeys(set, directory)
    const [holders, others] = SETTINGS[set.name]
    const advice = `${holders}=${privateFile}\n${others}=${publicFile}`
    return { answer: { ...filesOf(set, directory), key_ids: made }, text: lineOfEach(made), advice }
  },
  rotate: async (set, directory) => {
    const { made } = await rotateKeys(set, directory)
    const advice = `${ROTATED[set.name]}, within an hour: then new keys begin to sign. No restart is needed.`
    return { answer: { ...filesOf(set, directory), key_ids: made }, text: lineOfEach(made), advice }
  },
  drop: async (set, directory) => {
    const { dropped } = await dropOldKeys(set, directory)
    const lost = 'nobody can open what is sealed with them, and signatures made with them no longer count'
    const advice = `Dropped ${dropped.length} older keys: ${lost}.`
    return { answer: { ...filesOf(set, directory), dropped }, text: lineOfEach(dropped), advice }
  },
}

/**
 * Carries out `muster worker-keys` or `muster server-keys`. Resolves with the exit status.
 * @throws {MusterError} invalid_request; invalid_config when a file cannot be read or written
 */
export async function keyFilesCommand(
  name: 'worker-keys' | 'server-keys',
  { words, switches }: CommandLine,
  { settings, out, say }: Out & { readonly settings: Settings },
): Promise<number> {
  const [verb = 'list', given, ...more] = words
  const act = Object.hasOwn(ACTS, verb) ? ACTS[verb] : undefined
  if (act === undefined || more.length > 0) {
    const usage = `muster ${name}, or muster ${name} make, rotate or drop, each with a directory or without`
    throw new MusterError('invalid_request', `the forms are ${usage}; given "${words.join(' ')}"`)
  }
  const directory = resolve(given ?? parseConfig(CliConfig, settings.env).MUSTER_DATA_DIR)
  const done = name === 'worker-keys' ? act(WORKER_KEYS, directory) : act(SERVER_KEYS, directory)
  const { answer, text, advice } = await done
  out(switches.has('json') ? `${visibleJson(answer)}\n` : text)
  if (advice !== undefined) say(advice)
  return 0
}

function filesOf(set: { readonly name: string }, directory: string): { private_file: string; public_file: string } {
  const { privateFile, publicFile } = keyFiles(set, directory)
  return { private_file: privateFile, public_file: publicFile }
}

const lineOfEach = (keyIds: readonly string[]) => keyIds.map((keyId) => `${keyId}\n`).join('')
