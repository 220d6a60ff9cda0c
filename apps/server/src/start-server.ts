/**
 * Opens what the server needs, each with its close on the next line, and starts listening.
 *
 * Stopping goes backwards: `server.json` is removed, waiting calls are answered with what is known, connections close.
 * No job is touched: jobs live in Redis.
 */
import { ensureFirstKey, type FirstKey, openKeyStore } from '@muster/access'
import { openConfiguredInventory } from '@muster/inventory'
import { openLedger, startClockwork } from '@muster/ledger'
import type { Life, Logger } from '@muster/runtime'
import { announceServer } from './announce-server.ts'
import type { ServerConfig } from './config.ts'
import { isLoopback } from './http/origin-check.ts'
import { buildServer } from './server.ts'

/** Starts the server; resolves with its address when it listens. `print` shows a line to the operator, once. */
export async function startServer(options: {
  config: ServerConfig
  logger: Logger
  life: Life
  print: (line: string) => void
}): Promise<{ url: string }> {
  const { config, logger, life, print } = options
  const ledger = await openLedger({
    redisUrl: config.REDIS_URL,
    prefix: config.MUSTER_PREFIX,
    role: 'server',
    onError: (error) => logger.warn({ err: error }, 'Redis trouble; requests are refused until it answers'),
  })
  life.closers.add('ledger', () => ledger.close())

  const inventory = await openConfiguredInventory(config, logger)
  life.closers.add('inventory', () => inventory.close())

  // Jobs end by their clocks even while no worker lives.
  const onClockworkError = (error: Error) =>
    logger.warn({ err: error }, 'Redis trouble; looking what is due again soon')
  const clockwork = await startClockwork(ledger, onClockworkError)
  life.closers.add('clockwork', () => clockwork.stop())

  const { MUSTER_DATA_DIR: dataDir, MUSTER_HOST: host, MUSTER_PORT: port } = config
  tellFirstKey(await ensureFirstKey(ledger, { dataDir, givenKey: config.MUSTER_API_KEY }), logger, print)

  const allowedHosts = [host, ...(config.MUSTER_ALLOWED_HOSTS ?? [])]
  const limits = { callsPerMin: config.MUSTER_RATE_LIMIT_PER_MIN, jobsPerMin: config.MUSTER_SUBMIT_LIMIT_PER_MIN }
  const app = await buildServer({ ledger, inventory, keys: openKeyStore(ledger), logger, allowedHosts, limits })
  life.closers.add('http', () => app.close(), config.MUSTER_SHUTDOWN_GRACE_S * 1_000)
  await app.listen({ host, port })
  const announcement = await announceServer(app.addresses(), dataDir)
  life.closers.add('server.json', () => announcement.remove())

  if (!isLoopback(host)) {
    logger.warn({ host }, 'listening beyond loopback, and TLS is not built in: put a proxy that speaks it in front')
  }
  logger.info({ url: announcement.url, hosts: inventory.current().hosts.size }, 'ready')
  return { url: announcement.url }
}

function tellFirstKey(firstKey: FirstKey, logger: Logger, print: (line: string) => void): void {
  switch (firstKey.kind) {
    case 'made':
      print(`API key (shown this once, and kept in ${firstKey.file}): ${firstKey.key}`)
      logger.info({ file: firstKey.file }, 'made the first API key')
      break
    case 'given':
      if (firstKey.revokedAt === null) {
        logger.info({ key_id: firstKey.keyId }, 'the API key in MUSTER_API_KEY is accepted')
      } else {
        const told = { key_id: firstKey.keyId, revoked_at: firstKey.revokedAt }
        logger.warn(told, 'the API key in MUSTER_API_KEY was revoked and stays so: put another one there')
      }
      break
    case 'known':
      break
    case 'elsewhere':
      logger.warn(`the first API key was made before, but ${firstKey.file} does not hold it: ${firstKey.advice}`)
      break
    default:
      firstKey satisfies never
  }
}
