/**
 * Reads what the references of the inventory name: passwords, passphrases and keys. For the worker only, at the moment
 * when a connection needs it.
 *
 * It keeps nothing, and no error text contains what it read.
 */
import { MusterError } from '@muster/contract'
import type { KeptSecretRef } from '../hosts/inventory-host.ts'
import { SSH_SERVERS, sshServersPassword } from '../sources/ssh-servers.ts'
import { type FileNeed, readConfined, SecretRefused } from './confined-file.ts'
import type { SecretDirectories } from './secret-directories.ts'

/** Where secrets come from: the variables of the worker, and files in these directories. */
export type SecretSources = {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly directories: SecretDirectories
}

/** What a secret file is for. */
export const SECRET_FILE: FileNeed = { name: 'secret file', use: 'secret', isPrivate: () => true }

/**
 * The secret: the content of a file without the final line end, or the value of a variable as it is.
 * @throws {SecretRefused} the file lies outside the directories for secrets, or others can read or change it
 * @throws {MusterError} invalid_config when it is absent, empty or cannot be read, naming the file or variable
 */
export async function readSecret(ref: KeptSecretRef, { env, directories }: SecretSources): Promise<string> {
  if (ref.kind === 'file') return readSecretFile(ref.path, directories)
  if (ref.kind === 'env') return present(env[ref.name], `the environment variable ${ref.name}`, adviceFor(ref.name))
  const password = sshServersPassword(env[SSH_SERVERS] ?? '', ref.host)
  return present(password, `the password of the host ${ref.host} in ${SSH_SERVERS}`)
}

async function readSecretFile(path: string, directories: SecretDirectories): Promise<string> {
  let content: Buffer
  try {
    content = await readConfined(path, directories, SECRET_FILE)
  } catch (error) {
    if (error instanceof SecretRefused) throw error
    const why = error instanceof Error ? error.message : String(error)
    throw new MusterError('invalid_config', `the secret file ${path} cannot be read: ${why}`, { cause: error })
  }
  return present(content.toString('utf8').replace(/\r?\n$/, ''), `the secret file ${path}`)
}

/** For who has set the variable, where `muster up` or `muster mcp` keeps it from the worker. */
function adviceFor(name: string): string {
  if (name.startsWith('MUSTER_SECRET_')) return ''
  return '; muster up and muster mcp pass to workers only names that begin with MUSTER_SECRET_'
}

function present(secret: string | undefined, name: string, adviceIfUnset = ''): string {
  if (secret !== undefined && secret !== '') return secret
  throw new MusterError('invalid_config', `${name} is ${secret === undefined ? `not set${adviceIfUnset}` : 'empty'}`)
}
