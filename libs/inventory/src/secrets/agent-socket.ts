/**
 * Whose SSH agent a worker asks. The agent of its own environment is its own; one that an SSH config names must belong
 * to the worker's user or to root, as it is told what is signed and for whom.
 */
import { stat } from 'node:fs/promises'
import { SecretRefused } from './confined-file.ts'
import { shown } from './secret-directories.ts'

/**
 * The path of the socket.
 * @param own that of the environment
 * @throws {SecretRefused} it belongs to somebody else
 */
export async function ownAgent(socket: string, own: string | undefined): Promise<string> {
  const uid = process.geteuid?.()
  if (socket === '' || socket === own || uid === undefined) return socket
  // One that is not there is told of by who connects to it.
  const owner = await stat(socket).then(
    (found) => found.uid,
    () => uid,
  )
  if (owner === uid || owner === 0) return socket
  const why = `it belongs to user ${owner}, not to the worker's user or root`
  throw new SecretRefused('invalid_config', `the agent ${shown(socket)} is not used: ${why}`)
}
