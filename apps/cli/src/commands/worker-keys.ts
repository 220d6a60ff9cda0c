/**
 * `muster worker-keys`: makes, rotates and lists the keys that secrets are sealed with. It works on files of this
 * machine and talks to no server.
 */
import { resolve } from 'node:path'
import { MusterError, visibleJson } from '@muster/contract'
import { parseConfig, type Settings } from '@muster/runtime'
import { dropOldWorkerKeys, makeWorkerKeys, readWorkerKeys, rotateWorkerKeys, workerKeyFiles } from '@muster/trust'
import { CliConfig } from '../client/config.ts'
import { type Form, JSON_SWITCH } from '../line/command.ts'
import type { CommandLine } from '../line/flags.ts'

/** The flags of `muster worker-keys`. */
export const WORKER_KEYS: Form = { flags: [], switches: [JSON_SWITCH] }

const USAGE = 'muster worker-keys, or muster worker-keys make, rotate or drop, each with a directory or without'

/** What the command writes to. */
type Out = { readonly out: (text: string) => void; readonly say: (line: string) => void }

/** What a form did: its answer as JSON, what it prints, and what there is to do now. */
type Done = { readonly answer: object; readonly text: string; readonly advice?: string }

const ACTS: Readonly<Record<string, (directory: string) => Promise<Done>>> = {
  list: async (directory) => {
    const keys = (await readWorkerKeys(workerKeyFiles(directory).privateFile)).map(({ kid, made_at }) => ({
      key_id: kid,
      made_at: made_at ?? null,
    }))
    const lines = keys.map(({ key_id, made_at }, i) => `${key_id}  ${made_at ?? '–'}${i === 0 ? '  seals' : ''}\n`)
    return { answer: { ...filesOf(directory), keys }, text: lines.join('') }
  },
  make: async (directory) => {
    const { keyId } = await makeWorkerKeys(directory)
    const { private_file, public_file } = filesOf(directory)
    return {
      answer: { ...filesOf(directory), key_id: keyId },
      text: `${keyId}\n`,
      advice: `Workers: MUSTER_WORKER_KEY_FILE=${private_file}\nServers: MUSTER_WORKER_PUBLIC_KEY_FILE=${public_file}`,
    }
  },
  rotate: async (directory) => {
    const { keyId } = await rotateWorkerKeys(directory)
    const advice = 'Give the private file to all workers first, then the public one to servers. No restart is needed.'
    return { answer: { ...filesOf(directory), key_id: keyId }, text: `${keyId}\n`, advice }
  },
  drop: async (directory) => {
    const { keyId, dropped } = await dropOldWorkerKeys(directory)
    const advice = `Dropped ${dropped.length} older keys: what is still sealed with them can be read by nobody.`
    return { answer: { ...filesOf(directory), key_id: keyId, dropped }, text: `${keyId}\n`, advice }
  },
}

/**
 * Carries out the command. Resolves with the exit status.
 * @throws {MusterError} invalid_request; invalid_config when a file cannot be read or written
 */
export async function workerKeys(
  { words, switches }: CommandLine,
  { settings, out, say }: Out & { readonly settings: Settings },
): Promise<number> {
  const [verb = 'list', given, ...more] = words
  const act = Object.hasOwn(ACTS, verb) ? ACTS[verb] : undefined
  if (act === undefined || more.length > 0) {
    throw new MusterError('invalid_request', `the forms are ${USAGE}; given "${words.join(' ')}"`)
  }
  const directory = resolve(given ?? parseConfig(CliConfig, settings.env).MUSTER_DATA_DIR)
  const { answer, text, advice } = await act(directory)
  out(switches.has('json') ? `${visibleJson(answer)}\n` : text)
  if (advice !== undefined) say(advice)
  return 0
}

function filesOf(directory: string): { private_file: string; public_file: string } {
  const { privateFile, publicFile } = workerKeyFiles(directory)
  return { private_file: privateFile, public_file: publicFile }
}
