/** Tells the operator of a server which of its keys are missing, and what then does not work. */
import type { Logger } from '@muster/runtime'
import { hasKind, readPrivateKeys, readPublicKeys, SERVER_KEYS, WORKER_KEYS } from '@muster/trust'
import type { ServerConfig } from './config.ts'

/**
 * Reads the key files, and tells what is missing.
 * @throws {MusterError} invalid_config when the server has a file that cannot be used
 */
export async function tellMissingKeys(
  config: Pick<ServerConfig, 'MUSTER_SERVER_KEY_FILE' | 'MUSTER_WORKER_PUBLIC_KEY_FILE'>,
  logger: Pick<Logger, 'info' | 'warn'>,
): Promise<void> {
  const { MUSTER_SERVER_KEY_FILE: ownFile, MUSTER_WORKER_PUBLIC_KEY_FILE: workerFile } = config
  const unchecked = 'the ends of runs are not checked, and are what Redis says'
  if (workerFile === undefined) {
    const lost = 'passwords and other secrets in requests are refused'
    logger.info(`MUSTER_WORKER_PUBLIC_KEY_FILE is not set: ${lost}; ${unchecked} (muster worker-keys make)`)
  } else if (!hasKind(await readPublicKeys(WORKER_KEYS, workerFile), 'P-256')) {
    logger.warn(`${workerFile} has no key that checks ends: ${unchecked} (muster worker-keys rotate adds one)`)
  }
  if (ownFile === undefined) {
    const lost = 'jobs are not signed, and whoever can write to Redis can make API keys'
    logger.warn(`MUSTER_SERVER_KEY_FILE is not set: ${lost} (muster server-keys make)`)
    return
  }
  await readPrivateKeys(SERVER_KEYS, ownFile)
}
