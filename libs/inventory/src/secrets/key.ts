/**
 * Reads the key files of a credential. Those that the inventory names are bound to the directories for secrets, so that
 * no text tells what other files hold; those that OpenSSH would take by itself may lie anywhere.
 */
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { MusterError } from '@muster/contract'
import type { CredentialRef } from '../hosts/inventory-host.ts'
import { type FileNeed, readConfined, readRegular, SecretRefused } from './confined-file.ts'
import type { SecretDirectories } from './secret-directories.ts'
import { readFault } from './strict-modes.ts'

/** What a key file and the `.pub` beside it hold. If only the public half is there, it is `pem`. */
export type KeyContent = { readonly pem: Buffer; readonly publicHalf?: Buffer }

/** A key of a host. */
export type KeyRef = Extract<CredentialRef, { kind: 'key' }>

const PUBLIC = /^\s*(?:(?:ssh-|ecdsa-|sk-)[a-z0-9@.-]+ +AAAA|---- BEGIN SSH2 PUBLIC KEY)/

/** What a key file is for. Others may read a public half. */
export const KEY_FILE: FileNeed = {
  name: 'key file',
  use: 'key',
  isPrivate: (path, content) => (content === undefined ? !path.endsWith('.pub') : !PUBLIC.test(content.toString())),
}

/**
 * The content of the key file and of the public half beside it.
 * @throws {SecretRefused} the inventory names it, and it lies outside the directories, or others can read or change it
 * @throws {MusterError} invalid_inventory when neither half can be read
 */
export async function readKey(
  { identityFile: file, isOfOpenSsh }: KeyRef,
  directories: SecretDirectories,
): Promise<KeyContent> {
  const read = (path: string) => (isOfOpenSsh ? readAsOpenSsh(path) : readConfined(path, directories, KEY_FILE))
  const [own, besides] = await Promise.allSettled([read(file), read(`${file}.pub`)])
  if (own.status === 'fulfilled') {
    return { pem: own.value, ...(besides.status === 'fulfilled' && { publicHalf: besides.value }) }
  }
  if (own.reason instanceof SecretRefused) throw own.reason
  if (besides.status === 'rejected' && besides.reason instanceof SecretRefused) throw besides.reason
  if (besides.status === 'fulfilled') return { pem: besides.value }
  const cause: unknown = own.reason
  const why = cause instanceof Error ? ('code' in cause ? String(cause.code) : cause.message) : 'unknown error'
  throw new MusterError('invalid_inventory', `the key file ${file} cannot be read by the worker: ${why}`, { cause })
}

/** OpenSSH refuses a private key of its user's own that others can read. */
async function readAsOpenSsh(path: string): Promise<Buffer> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const content = await readRegular(handle)
    const stats = await handle.stat()
    const uid = process.geteuid?.()
    const fault = stats.uid === uid && KEY_FILE.isPrivate(path, content) ? readFault(path, stats, uid) : undefined
    if (fault !== undefined) throw new Error(fault)
    return content
  } finally {
    await handle.close()
  }
}
