/** Tells the operator of a worker which of its keys are missing, and what then does not work. */
import type { Logger } from '@muster/runtime'
import { hasKind, readPrivateKeys, readPublicKeys, SERVER_KEYS, WORKER_KEYS } from '@muster/trust'
import type { WorkerConfig } from './config.ts'

/**
 * Reads the key files, and tells what is missing.
 * @throws {MusterError} invalid_config when the worker has a file that cannot be used
 */
export async function tellMissingKeys(
  config: Pick<WorkerConfig, 'MUSTER_WORKER_KEY_FILE' | 'MUSTER_SERVER_PUBLIC_KEY_FILE'>,
  logger: Pick<Logger, 'info' | 'warn'>,
): Promise<void> {
  const { MUSTER_WORKER_KEY_FILE: ownFile, MUSTER_SERVER_PUBLIC_KEY_FILE: serverFile } = config
  const unsigned = 'the ends of its runs are not signed, and servers that check them believe none'
  if (ownFile === undefined) {
    const lost = 'runs of jobs with passwords or other secrets end here as skipped, secrets_unreadable'
    logger.info(`MUSTER_WORKER_KEY_FILE is not set: ${lost}; ${unsigned} (muster worker-keys make)`)
  } else if (!hasKind(await readPrivateKeys(WORKER_KEYS, ownFile), 'P-256')) {
    logger.warn(`${ownFile} has no key that signs ends: ${unsigned} (muster worker-keys rotate adds one)`)
  }
  if (serverFile === undefined) {
    const lost = 'this worker runs what Redis says, and whoever can write there runs commands'
    logger.warn(`MUSTER_SERVER_PUBLIC_KEY_FILE is not set: ${lost} (muster server-keys make)`)
    return
  }
  await readPublicKeys(SERVER_KEYS, serverFile)
}
