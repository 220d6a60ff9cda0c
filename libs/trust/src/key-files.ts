/**
 * The files of a set of keys in a directory: made, read, rotated and reduced to the newest. A file is replaced whole or
 * not at all, and readers that keep its keys read it again, so no rotation needs a restart.
 */
import { join } from 'node:path'
import { MusterError, shellWord } from '@muster/contract'
import { readTrustedFile } from '@muster/runtime'
import { z } from 'zod'
import {
  type AnyKey,
  hasKind,
  type KeyKind,
  type KeySet,
  kindOf,
  newKey,
  SERVER_KEYS,
  WORKER_KEYS,
} from './key-sets.ts'
import { whileLocked, writeWhole } from './whole-file.ts'

const JwkSet = z.object({ keys: z.array(z.looseObject({})).min(1).max(100) })
/** What tells a private half, and a symmetric key, of whatever kind it is. */
const isPrivate = (key: unknown) =>
  z
    .looseObject({})
    .refine((jwk) => 'd' in jwk || 'k' in jwk)
    .safeParse(key).success

/** Where the keys are. */
export type KeyFiles = { readonly privateFile: string; readonly publicFile: string }

/** What was made or dropped, by key IDs. */
export type KeyChange = KeyFiles & { readonly made: readonly string[]; readonly dropped: readonly string[] }

/** The two files in a directory. */
export function keyFiles({ name }: { readonly name: string }, directory: string): KeyFiles {
  return { privateFile: join(directory, `${name}.json`), publicFile: join(directory, `${name}.pub.json`) }
}

/**
 * The keys of a private file, those of each kind the newest first.
 * @throws {MusterError} invalid_config: there is no such file, others can read or change it, or it holds something else
 */
export async function readPrivateKeys<K extends AnyKey, P extends AnyKey>(
  set: KeySet<K, P>,
  file: string,
): Promise<K[]> {
  // A public file in its place is one that others may read, which is not what is wrong with it.
  if (!(await readSet(set, file, { isSecret: false })).some(isPrivate)) {
    throw refused(file, `it holds public halves only; ${set.holders} need the private keys, as in ${set.name}.json`)
  }
  return parsed(set, file, set.privateKey, await readSet(set, file, { isSecret: true }))
}

/**
 * The public halves of a public file, those of each kind the newest first.
 * @throws {MusterError} invalid_config: there is no such file, others can change it, or it holds something else
 */
export async function readPublicKeys<K extends AnyKey, P extends AnyKey>(
  set: KeySet<K, P>,
  file: string,
): Promise<P[]> {
  const keys = await readSet(set, file, { isSecret: false })
  if (!keys.some(isPrivate)) return parsed(set, file, set.publicKey, keys)
  const advice = `give ${set.others} ${set.name}.pub.json`
  throw refused(file, `it holds private keys, which only ${set.holders} may have; ${advice}`)
}

/**
 * Makes the two files, with one key of each kind.
 * @throws {MusterError} invalid_config when there are keys already, or the files cannot be written
 */
export async function makeKeys<K extends AnyKey, P extends AnyKey>(
  set: KeySet<K, P>,
  directory: string,
): Promise<KeyChange> {
  const files = keyFiles(set, directory)
  return await whileLocked(files.privateFile, async () => {
    if (await isThere(files.privateFile)) {
      const advice = `muster ${set.name} rotate adds new ones, and keeps what the others were used for`
      throw new MusterError('invalid_config', `${files.privateFile} holds keys already: ${advice}`)
    }
    return await addKeys(set, files, [])
  })
}

/**
 * The two files; made if they are not there yet, and the public one if it is missing. `isNew` says whether the keys
 * were made now.
 * @throws {MusterError} invalid_config
 */
export async function ensureKeys<K extends AnyKey, P extends AnyKey>(
  set: KeySet<K, P>,
  directory: string,
): Promise<KeyFiles & { readonly isNew: boolean }> {
  const files = keyFiles(set, directory)
  if ((await isThere(files.privateFile)) && (await isThere(files.publicFile))) return { ...files, isNew: false }
  return await whileLocked(files.privateFile, async () => {
    const isNew = !(await isThere(files.privateFile))
    if (isNew) await addKeys(set, files, [])
    else if (!(await isThere(files.publicFile))) await store(set, files, await readPrivateKeys(set, files.privateFile))
    return { ...files, isNew }
  })
}

/**
 * Adds a new key of each kind. What was sealed or signed with the others stays good.
 * @throws {MusterError} invalid_config
 */
export async function rotateKeys<K extends AnyKey, P extends AnyKey>(
  set: KeySet<K, P>,
  directory: string,
): Promise<KeyChange> {
  return await changeKeys(set, directory, async (files, keys) => await addKeys(set, files, keys))
}

/**
 * Drops all keys but the newest of each kind. What is sealed with one of them nobody can read any more, and what is
 * signed with one of them nobody believes any more.
 * @throws {MusterError} invalid_config
 */
export async function dropOldKeys<K extends AnyKey, P extends AnyKey>(
  set: KeySet<K, P>,
  directory: string,
): Promise<KeyChange> {
  return await changeKeys(set, directory, async (files, keys) => {
    const newest = keys.filter((key, i) => keys.findIndex((other) => kindOf(other) === kindOf(key)) === i)
    await store(set, files, newest)
    return { ...files, made: [], dropped: keys.filter((key) => !newest.includes(key)).map(({ kid }) => kid) }
  })
}

async function changeKeys<K extends AnyKey, P extends AnyKey>(
  set: KeySet<K, P>,
  directory: string,
  change: (files: KeyFiles, keys: readonly K[]) => Promise<KeyChange>,
): Promise<KeyChange> {
  const files = keyFiles(set, directory)
  // Before the lock, whose directory would be made.
  await readPrivateKeys(set, files.privateFile)
  return await whileLocked(files.privateFile, async () => {
    return await change(files, await readPrivateKeys(set, files.privateFile))
  })
}

async function addKeys<K extends AnyKey, P extends AnyKey>(
  set: KeySet<K, P>,
  files: KeyFiles,
  there: readonly K[],
): Promise<KeyChange> {
  const made = await Promise.all(set.kinds.map(async (kind) => set.privateKey.parse(await newKey(kind))))
  await store(set, files, [...made, ...there])
  return { ...files, made: made.map(({ kid }) => kid), dropped: [] }
}

/** Holders first: nobody must seal with a key that no holder has yet. */
async function store<K extends AnyKey, P extends AnyKey>(
  set: KeySet<K, P>,
  { privateFile, publicFile }: KeyFiles,
  keys: readonly K[],
): Promise<void> {
  await writeWhole(privateFile, { keys }, 0o600)
  // The schema of a public half knows no private one, so that it is left out.
  const halves = keys.filter(({ kty }) => kty !== 'oct').map((key) => set.publicKey.parse(key))
  await writeWhole(publicFile, { keys: halves }, 0o644)
}

async function isThere(file: string): Promise<boolean> {
  return (await readTrustedFile(file)) !== undefined
}

type Named = Pick<KeySet<AnyKey, AnyKey>, 'name' | 'others' | 'needed'>

async function readSet({ name }: Named, file: string, { isSecret }: { isSecret: boolean }): Promise<unknown[]> {
  const text = await readTrustedFile(file, { isSecret })
  if (text === undefined)
    throw refused(file, `there is no such file. muster ${name} make ${shellWord(join(file, '..'))} makes one`)
  try {
    return JwkSet.parse(JSON.parse(text)).keys
  } catch {
    // The cause would quote the file.
    throw refused(file, `it is no JWK set, as muster ${name} make writes it`)
  }
}

function parsed<K extends AnyKey>(
  { name, others, needed }: Named,
  file: string,
  schema: z.ZodType<K>,
  keys: readonly unknown[],
): K[] {
  const found = z.array(schema).safeParse(keys)
  const isPublic = !keys.some(isPrivate)
  const lacks = (kind: KeyKind) => !(isPublic && kind === 'oct') && !hasKind(found.data ?? [], kind)
  if (found.success && !needed.some(lacks)) return found.data
  const isOfOthers = name === 'worker-keys' ? holdsKeysOf(SERVER_KEYS, keys) : holdsKeysOf(WORKER_KEYS, keys)
  if (isOfOthers) throw refused(file, `it holds keys of ${others}; what is needed here is one of muster ${name}`)
  const faults = found.error?.issues.map(({ path }) => `keys.${path.join('.')}`) ?? [`the set without ${needed.join()}`]
  const which = [...new Set(faults)].slice(0, 5).join(', ')
  throw refused(file, `${which} is not as in a JWK set that muster ${name} make writes`)
}

function holdsKeysOf<K extends AnyKey, P extends AnyKey>(
  { privateKey, publicKey }: KeySet<K, P>,
  keys: readonly unknown[],
): boolean {
  return keys.every((key) => privateKey.safeParse(key).success || publicKey.safeParse(key).success)
}

function refused(file: string, why: string): MusterError {
  return new MusterError('invalid_config', `${file} cannot be used: ${why}`)
}
