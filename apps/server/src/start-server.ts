/**
 * Opens what the server needs, registers each close on the next line, and starts listening.
 *
 * Stopping goes backwards: it removes `server.json`, answers waiting calls with what is known, then closes connections.
 * It touches no job: jobs live in Redis.
 */
import { BlockList } from 'node:net'
import { ensureFirstKey, openKeyStore } from '@muster/access'
import { MusterError } from '@muster/contract'
import { openConfiguredInventory } from '@muster/inventory'
import { openLedger, startClockwork } from '@muster/ledger'
import { type Life, type Logger, makeDataDirectory, readTrustedFile } from '@muster/runtime'
import { openOwnWorkChecker, openSealer, openWorkSigner } from '@muster/trust'
import { announceServer } from './announce-server.ts'
import { openEndsChecked } from './checked-ends.ts'
import type { ServerConfig } from './config.ts'
import { isLoopback } from './http/host-name.ts'
import { openTls, type Tls } from './http/tls.ts'
import { openKeyLedger } from './key-ledger.ts'
import type { OperationDeps } from './operations/call/operation.ts'
import { type Operator, tellFirstKey } from './operator.ts'
import { buildServer } from './server.ts'
import { tellMissingKeys } from './tell-keys.ts'

/** Starts the server and resolves with its address once it listens. */
export async function startServer(options: {
  config: ServerConfig
  /** For file names in an SSH config. */
  env: Readonly<Record<string, string | undefined>>
  logger: Logger
  life: Life
  operator: Operator
}): Promise<{ url: string }> {
  const { config, env, logger, life, operator } = options
  await makeDataDirectory(config.MUSTER_DATA_DIR)
  const tls = await openConfiguredTls(config, logger)
  if (tls !== undefined) life.closers.add('TLS', () => tls.close())

  const { MUSTER_WORKER_PUBLIC_KEY_FILE: publicKeyFile } = config
  const ledger = await openLedger({
    redisUrl: config.REDIS_URL,
    prefix: config.MUSTER_PREFIX,
    role: 'server',
    ends: await openEndsChecked(publicKeyFile, logger),
    onError: (error) => logger.warn({ err: error }, 'Redis trouble; requests are refused until it answers'),
  })
  life.closers.add('ledger', () => ledger.close())

  const inventory = await openConfiguredInventory(config, logger, { readText: readTrustedFile, env })
  life.closers.add('inventory', () => inventory.close())

  // Deadlines of jobs must pass even while no worker is alive.
  const onClockworkError = (error: Error) =>
    logger.warn({ err: error }, 'Redis trouble; looking again soon for what is due')
  const clockwork = await startClockwork(ledger, onClockworkError)
  life.closers.add('clockwork', () => clockwork.stop())

  await tellMissingKeys(config, logger)
  const keyLedger = await openKeyLedger(ledger, config, { logger, life })
  const { MUSTER_DATA_DIR: dataDir, MUSTER_HOST: host, MUSTER_PORT: port } = config
  tellFirstKey(await ensureFirstKey(keyLedger, { dataDir, givenKey: config.MUSTER_API_KEY }), logger, operator)

  const names = { listensOn: host, allowedHosts: config.MUSTER_ALLOWED_HOSTS ?? [], hasTls: tls !== undefined }
  const limits = { callsPerMin: config.MUSTER_RATE_LIMIT_PER_MIN, jobsPerMin: config.MUSTER_SUBMIT_LIMIT_PER_MIN }
  const sealer = publicKeyFile === undefined ? undefined : await openSealer(publicKeyFile)
  const app = await buildServer({
    ledger,
    inventory,
    keyLedger,
    keys: openKeyStore(keyLedger),
    logger,
    names,
    limits,
    sealer,
    ...(await openSigning(config.MUSTER_SERVER_KEY_FILE, logger)),
    policy: config.MUSTER_ADHOC_HOSTS,
    tls,
    trustedProxies: config.MUSTER_TRUSTED_PROXIES ?? new BlockList(),
  })
  life.closers.add('http', () => app.close(), config.MUSTER_SHUTDOWN_GRACE_S * 1_000)
  await app.listen({ host, port }).catch((error: unknown) => {
    throw listenMistake(error, host, port)
  })
  const announcement = await announceServer(
    { addresses: app.addresses(), host, certificate: tls?.current().leaf },
    dataDir,
  )
  life.closers.add('server.json', () => announcement.remove())

  if (!isLoopback(host) && tls === undefined) {
    logger.warn({ host }, 'others can reach this server without TLS: only its proxy should be able to reach it')
  }
  logger.info({ url: announcement.url, hosts: inventory.current().hosts.size }, 'ready')
  return { url: announcement.url }
}

/**
 * What signs jobs and orders. Undefined without keys: the server signs nothing.
 * @throws {MusterError} invalid_config when it has a file that cannot be used
 */
async function openSigning(
  keyFile: string | undefined,
  logger: Logger,
): Promise<Pick<OperationDeps, 'signWork' | 'checkWork'>> {
  if (keyFile === undefined) return { signWork: undefined, checkWork: undefined }
  const onTrouble = (error: unknown) =>
    logger.warn(
      { err: error },
      'the keys of servers cannot be read again; still signing with the key that was read before',
    )
  const [signer, checker] = [await openWorkSigner(keyFile, onTrouble), await openOwnWorkChecker(keyFile, onTrouble)]
  return { signWork: signer.sign, checkWork: checker.check }
}

async function openConfiguredTls(config: ServerConfig, logger: Logger): Promise<Tls | undefined> {
  const { MUSTER_TLS_CERT_FILE: certFile, MUSTER_TLS_KEY_FILE: keyFile } = config
  return certFile === undefined || keyFile === undefined ? undefined : await openTls({ certFile, keyFile }, logger)
}

/** Which variable is at fault when nobody can listen there; any other error as it is. */
function listenMistake(error: unknown, host: string, port: number): unknown {
  const mistake = (text: string) => new MusterError('invalid_config', text, { cause: error })
  switch (error instanceof Error && 'code' in error ? error.code : undefined) {
    case 'EADDRINUSE': {
      const advice = 'stop it, or set another port; 0 takes a free one'
      return mistake(`MUSTER_PORT: received ${port}; another program listens on ${host}:${port}: ${advice}`)
    }
    case 'EACCES':
      return mistake(`MUSTER_PORT: received ${port}, where this user may not listen; set a port above 1023`)
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return mistake(`MUSTER_HOST: received ${JSON.stringify(host)}, which is no address of this machine; give one`)
    default:
      return error
  }
}
