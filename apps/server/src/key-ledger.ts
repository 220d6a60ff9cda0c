/** Opens the records of API keys as this server reads them, and keeps their MACs by its newest key. */
import { type KeyLedger, renewMacs } from '@muster/access'
import type { Ledger } from '@muster/ledger'
import type { Life, Logger } from '@muster/runtime'
import { openRecordMacs } from '@muster/trust'
import type { ServerConfig } from './config.ts'

/** A new key makes MACs from an hour after it was made; soon after, all records have one by it. */
const RENEW_EVERY_MS = 10 * 60_000

/**
 * The records, protected if the server has keys. Tells which have no MAC that fits; until the time in
 * MUSTER_ADOPT_KEYS_UNTIL those get one.
 * @throws {MusterError} invalid_config when the key file cannot be used; ledger_full, ledger_unavailable
 */
export async function openKeyLedger(
  ledger: Ledger,
  config: Pick<ServerConfig, 'MUSTER_SERVER_KEY_FILE' | 'MUSTER_ADOPT_KEYS_UNTIL'>,
  { logger, life }: { logger: Logger; life: Pick<Life, 'closers'> },
): Promise<KeyLedger> {
  const { MUSTER_SERVER_KEY_FILE: file, MUSTER_ADOPT_KEYS_UNTIL: until } = config
  if (file === undefined) return { ...ledger, macs: undefined }
  const onTrouble = (error: unknown) => logger.error({ err: error }, 'the keys that were read before are used')
  const keyLedger = { ...ledger, macs: await openRecordMacs(file, onTrouble) }

  const adopts = until !== undefined && Date.now() < Date.parse(until)
  const { adopted, refused } = await renewMacs(keyLedger, { adopts })
  if (adopted.length > 0) {
    logger.warn({ key_ids: adopted }, 'these API keys had no MAC, and have one now: MUSTER_ADOPT_KEYS_UNTIL says so')
  }
  if (refused.length > 0) logger.warn({ key_ids: refused }, refusedWords())

  const renew = () =>
    renewMacs(keyLedger, { adopts: false }).catch((error: unknown) =>
      logger.warn({ err: error }, 'the MACs of API keys were not renewed; trying again later'),
    )
  const timer = setInterval(renew, RENEW_EVERY_MS).unref()
  life.closers.add('MACs of API keys', async () => clearInterval(timer))
  return keyLedger
}

function refusedWords(): string {
  const soon = new Date(Date.now() + RENEW_EVERY_MS).toISOString()
  const why = 'they were written by hand, or before MUSTER_SERVER_KEY_FILE was set or its keys were replaced'
  const advice = `if all of them are yours, start the server once with MUSTER_ADOPT_KEYS_UNTIL=${soon}`
  return `these API keys are not valid, because their records have no MAC that fits: ${why}; ${advice}`
}
