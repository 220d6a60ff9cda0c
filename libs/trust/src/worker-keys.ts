/**
 * The keys of workers, by which others can write to them what nobody else reads: key files in a directory, made,
 * rotated and read. Both files are JWK sets (RFC 7517): `worker-keys.json` is for workers alone, `worker-keys.pub.json`
 * is for servers. The newest key comes first, and is the one to seal with; workers open by all of them.
 *
 * The files are read whenever they are needed, so a rotation needs no restart.
 */
import { randomBytes } from 'node:crypto'
import { link, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MusterError, shellWord } from '@muster/contract'
import { readTrustedFile } from '@muster/runtime'
import { calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose'
import { z } from 'zod'

/** The 32 bytes of a key of X25519, or of its public half. */
const KeyBytes = z.string().regex(/^[A-Za-z0-9_-]{43}$/)

const PublicKey = z.object({
  kty: z.literal('OKP'),
  crv: z.literal('X25519'),
  kid: z.string().min(1).max(100),
  x: KeyBytes,
  made_at: z.string().optional(),
})
const Key = PublicKey.extend({ d: KeyBytes })

/** The public half of a key of workers. */
export type WorkerPublicKey = z.infer<typeof PublicKey>
/** A key of workers. */
export type WorkerKey = z.infer<typeof Key>

const KeySet = z.object({ keys: z.array(z.looseObject({})).min(1).max(100) })
/** What tells a private half, whatever kind of key it is of. */
const Private = z.looseObject({ d: z.unknown().refine((half) => half !== undefined) })

/** Where the keys are. */
export type WorkerKeyFiles = { readonly privateFile: string; readonly publicFile: string }

/** The two files of a directory. */
export function workerKeyFiles(directory: string): WorkerKeyFiles {
  return {
    privateFile: join(directory, 'worker-keys.json'),
    publicFile: join(directory, 'worker-keys.pub.json'),
  }
}

/**
 * The keys of a worker, the newest first.
 * @throws {MusterError} invalid_config: there is no such file, others can read or change it, or it holds something else
 */
export async function readWorkerKeys(file: string): Promise<WorkerKey[]> {
  const keys = await readSet(file, { isSecret: true })
  if (!keys.some((key) => Private.safeParse(key).success)) {
    throw refused(file, 'it holds public halves only; a worker needs the private keys, as in worker-keys.json')
  }
  return parsed(file, Key, keys)
}

/**
 * The public halves of the keys of workers; the first is to be sealed with.
 * @throws {MusterError} invalid_config: there is no such file, others can change it, or it holds something else
 */
export async function readWorkerPublicKeys(file: string): Promise<WorkerPublicKey[]> {
  const keys = await readSet(file, { isSecret: false })
  if (keys.some((key) => Private.safeParse(key).success)) {
    throw refused(file, 'it holds private keys, which only workers may have; give the server worker-keys.pub.json')
  }
  return parsed(file, PublicKey, keys)
}

/**
 * Makes the two files, with one key.
 * @throws {MusterError} invalid_config when there are keys already, or the files cannot be written
 */
export async function makeWorkerKeys(directory: string): Promise<WorkerKeyFiles & { readonly keyId: string }> {
  const files = workerKeyFiles(directory)
  const key = await newKey()
  if (!(await store(files, [key], { isNew: true }))) {
    const advice = 'muster worker-keys rotate adds a new one, and keeps what is sealed readable'
    throw new MusterError('invalid_config', `${files.privateFile} holds keys already: ${advice}`)
  }
  return { ...files, keyId: key.kid }
}

/**
 * The two files; made if they are not there yet, and the public one if it is missing.
 * @throws {MusterError} invalid_config
 */
export async function ensureWorkerKeys(directory: string): Promise<WorkerKeyFiles> {
  const files = workerKeyFiles(directory)
  const there = await readTrustedFile(files.privateFile, { isSecret: true })
  if (there === undefined) await store(files, [await newKey()], { isNew: true })
  if ((await readTrustedFile(files.publicFile)) === undefined)
    await storePublic(files, await readWorkerKeys(files.privateFile))
  return files
}

/**
 * Adds a new key, which is sealed with from now on. What is sealed with the others stays readable.
 * @throws {MusterError} invalid_config
 */
export async function rotateWorkerKeys(directory: string): Promise<WorkerKeyFiles & { readonly keyId: string }> {
  const files = workerKeyFiles(directory)
  const key = await newKey()
  await store(files, [key, ...(await readWorkerKeys(files.privateFile))], { isNew: false })
  return { ...files, keyId: key.kid }
}

/**
 * Drops all keys but the newest. What is sealed with one of them can be read by nobody any more.
 * @throws {MusterError} invalid_config
 */
export async function dropOldWorkerKeys(
  directory: string,
): Promise<WorkerKeyFiles & { readonly keyId: string; readonly dropped: readonly string[] }> {
  const files = workerKeyFiles(directory)
  const [newest, ...old] = await readWorkerKeys(files.privateFile)
  if (newest === undefined) throw refused(files.privateFile, 'it holds no key')
  await store(files, [newest], { isNew: false })
  return { ...files, keyId: newest.kid, dropped: old.map(({ kid }) => kid) }
}

async function newKey(): Promise<WorkerKey> {
  const { privateKey } = await generateKeyPair('ECDH-ES', { crv: 'X25519', extractable: true })
  const jwk = await exportJWK(privateKey)
  return Key.parse({ ...jwk, kid: await calculateJwkThumbprint(jwk), made_at: new Date().toISOString() })
}

/** Writes both files. False when `isNew`, and somebody else was faster. */
async function store(
  files: WorkerKeyFiles,
  keys: readonly WorkerKey[],
  { isNew }: { isNew: boolean },
): Promise<boolean> {
  // Workers first: nobody must seal with a key that they do not have yet.
  const isStored = await write(files.privateFile, { keys }, { mode: 0o600, isNew })
  if (isStored) await storePublic(files, keys)
  return isStored
}

async function storePublic({ publicFile }: WorkerKeyFiles, keys: readonly WorkerKey[]): Promise<void> {
  const halves = keys.map(({ d: _d, ...half }) => half)
  await write(publicFile, { keys: halves }, { mode: 0o644, isNew: false })
}

/** Writes a file whole or not at all. */
async function write(
  file: string,
  content: object,
  { mode, isNew }: { mode: number; isNew: boolean },
): Promise<boolean> {
  const draft = `${file}.${randomBytes(6).toString('hex')}`
  try {
    await mkdir(join(file, '..'), { recursive: true, mode: 0o700 })
    await writeFile(draft, `${JSON.stringify(content, null, 2)}\n`, { mode, flag: 'wx', flush: true })
    if (isNew) await link(draft, file)
    else await rename(draft, file)
    return true
  } catch (error) {
    if (isNew && error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    const why = error instanceof Error ? error.message : String(error)
    throw new MusterError('invalid_config', `${file} cannot be written: ${why}`, { cause: error })
  } finally {
    await rm(draft, { force: true })
  }
}

async function readSet(file: string, { isSecret }: { isSecret: boolean }): Promise<unknown[]> {
  const text = await readTrustedFile(file, { isSecret })
  if (text === undefined)
    throw refused(file, `there is no such file. muster worker-keys make ${shellWord(join(file, '..'))} makes one`)
  try {
    return KeySet.parse(JSON.parse(text)).keys
  } catch {
    // The cause would quote the file.
    throw refused(file, 'it is no JWK set, as muster worker-keys make writes it')
  }
}

function parsed<K>(file: string, schema: z.ZodType<K>, keys: readonly unknown[]): K[] {
  const found = z.array(schema).safeParse(keys)
  if (found.success) return found.data
  const which = [...new Set(found.error.issues.map(({ path }) => `keys.${path.join('.')}`))].slice(0, 5).join(', ')
  throw refused(file, `${which} is not as in a JWK of X25519 that muster worker-keys make writes`)
}

function refused(file: string, why: string): MusterError {
  return new MusterError('invalid_config', `${file} cannot be used: ${why}`)
}
