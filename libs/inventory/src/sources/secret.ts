/**
 * Reads the secret that a reference names. For the worker only, at the moment when a connection needs it.
 *
 * It keeps nothing, and no error text contains what it read.
 */
import { readFile, stat } from 'node:fs/promises'
import { MusterError } from '@muster/contract'
import type { SecretRef } from '../hosts/inventory-host.ts'
import { SSH_SERVERS, sshServersPassword } from './ssh-servers.ts'

/** A secret is a line, not a document: a big file was named by mistake. */
const SECRET_LIMIT_BYTES = 65_536

/** A file that takes longer to read is on a dead network disk. */
const READ_TIMEOUT_MS = 10_000

/**
 * The secret: the content of a file without the final line end, or the value of a variable as it is.
 * @throws {MusterError} invalid_config when it is absent, empty or cannot be read, naming the file or variable
 */
export async function readSecret(
  ref: SecretRef,
  sources: { env: Readonly<Record<string, string | undefined>> },
): Promise<string> {
  if (ref.kind === 'file') return readSecretFile(ref.path)
  if (ref.kind === 'env') return present(sources.env[ref.name], `the environment variable ${ref.name}`)
  const password = sshServersPassword(sources.env[SSH_SERVERS] ?? '', ref.host)
  return present(password, `the password of the host ${ref.host} in ${SSH_SERVERS}`)
}

async function readSecretFile(path: string): Promise<string> {
  let text: string
  try {
    const { size } = await regularFile(path)
    if (size > SECRET_LIMIT_BYTES) throw new Error(`it has ${size} bytes, more than a secret can have`)
    text = await readFile(path, { encoding: 'utf8', signal: AbortSignal.timeout(READ_TIMEOUT_MS) })
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new MusterError('invalid_config', `the secret file ${path} cannot be read: ${why}`, { cause: error })
  }
  return present(text.replace(/\r?\n$/, ''), `the secret file ${path}`)
}

/** Refuses anything but a regular file: reading a pipe or a terminal would wait for somebody to write. */
async function regularFile(path: string): Promise<{ size: number }> {
  const found = await stat(path)
  if (!found.isFile()) throw new Error('it is not a regular file')
  return found
}

function present(secret: string | undefined, name: string): string {
  if (secret !== undefined && secret !== '') return secret
  throw new MusterError('invalid_config', `${name} is ${secret === undefined ? 'not set' : 'empty'}`)
}
