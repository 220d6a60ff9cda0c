/**
 * Reads the key files of a credential. Those that the inventory names are bound to the directories for secrets, so that
 * no text tells what other files hold; those that OpenSSH would take by itself may lie anywhere.
 */
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { MusterError } from '@muster/contract'
import type { CredentialRef } from '../hosts/inventory-host.ts'
import { type FileNeed, readConfined, readRegular, SecretRefused } from './confined-file.ts'
import { isForRequests, type SecretDirectories } from './secret-directories.ts'
import { readFault } from './strict-modes.ts'

/**
 * What a key file, the `.pub` beside it and the file of its certificate hold. If only the public half is there, it is
 * `pem`.
 */
export type KeyContent = { readonly pem: Buffer; readonly publicHalf?: Buffer; readonly certificate?: Buffer }

/** A key of a host. */
export type KeyRef = Extract<CredentialRef, { kind: 'key' }>

const PUBLIC = /^\s*(?:(?:ssh-|ecdsa-|sk-)[a-z0-9@.-]+ +AAAA|---- BEGIN SSH2 PUBLIC KEY)/

/** What a key file is for. Others may read a public half. */
export const KEY_FILE: FileNeed = {
  name: 'key file',
  use: 'key',
  isPrivate: (path, content) => (content === undefined ? !path.endsWith('.pub') : !PUBLIC.test(content.toString())),
}

/** A key file that a request names. */
const REQUEST_KEY_FILE: FileNeed = { ...KEY_FILE, use: 'key of a request' }

/** The file with the certificate of a key: the one that is named, or where OpenSSH looks for it. */
function certificateFileOf({ identityFile, certificateFile }: KeyRef): string {
  return certificateFile ?? `${identityFile.replace(/\.pub$/, '')}-cert.pub`
}

/** The files that `readKey` would read, where the worker may look at them at all: a request may name any path. */
export function filesOfKey(ref: KeyRef, directories: SecretDirectories): readonly string[] {
  const { identityFile: file, isOfRequest = false } = ref
  return isOfRequest && !isForRequests(file, directories) ? [] : [file, `${file}.pub`, certificateFileOf(ref)]
}

/**
 * The content of the key file, of the public half beside it and of its certificate.
 * @throws {SecretRefused} the inventory names it, and it lies outside the directories, or others can read or change it
 * @throws {MusterError} invalid_inventory when neither half can be read
 */
export async function readKey(ref: KeyRef, directories: SecretDirectories): Promise<KeyContent> {
  const { identityFile: file, isOfOpenSsh, isOfRequest } = ref
  const need = isOfRequest ? REQUEST_KEY_FILE : KEY_FILE
  const read = (path: string) => (isOfOpenSsh ? readAsOpenSsh(path) : readConfined(path, directories, need))
  const paths = [file, `${file}.pub`, certificateFileOf(ref)] as const
  const [own, besides, certified] = await Promise.allSettled(paths.map(read))
  if (ref.certificateFile !== undefined) {
    if (certified?.status === 'rejected') throw unreadable('certificate file', ref.certificateFile, certified.reason)
  }
  const certificate = certified?.status === 'fulfilled' ? { certificate: certified.value } : {}
  if (own?.status === 'fulfilled') {
    return { pem: own.value, ...(besides?.status === 'fulfilled' && { publicHalf: besides.value }), ...certificate }
  }
  const cause: unknown = own?.reason
  if (cause instanceof SecretRefused) throw cause
  if (besides?.status === 'rejected' && besides.reason instanceof SecretRefused) throw besides.reason
  if (besides?.status === 'fulfilled') return { pem: besides.value, ...certificate }
  throw unreadable('key file', file, cause)
}

function unreadable(what: string, file: string, cause: unknown): MusterError {
  if (cause instanceof SecretRefused) return cause
  const why = cause instanceof Error ? ('code' in cause ? String(cause.code) : cause.message) : 'unknown error'
  return new MusterError('invalid_inventory', `the ${what} ${file} cannot be read by the worker: ${why}`, { cause })
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
