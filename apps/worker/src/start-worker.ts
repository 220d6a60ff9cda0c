/**
 * Opens what a worker needs, each with its close on the next line, and starts taking tickets.
 *
 * Stopping goes backwards. First the worker takes no more tickets and gives its runs some time to end; then it kills
 * their commands; last, it gives up its lease, so that runs that have not started are queued again at once.
 */
import { randomBytes } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { hostname } from 'node:os'
import { setTimeout } from 'node:timers/promises'
import { knownHostsFiles } from '@muster/contract'
import { openWorkerInventory } from '@muster/inventory'
import {
  type CheckWork,
  consumeTickets,
  openJumpTurns,
  openLedger,
  startClockwork,
  startHeartbeat,
  watchJobs,
} from '@muster/ledger'
import { type Life, type Logger, readTrustedFile, type SecretScrubber } from '@muster/runtime'
import { loadKnownHosts, openPool } from '@muster/ssh'
import { openEndSigner, openWorkChecker } from '@muster/trust'
import type { WorkerConfig } from './config.ts'
import { createHeldRuns } from './hold/held-runs.ts'
import { createSecretsOfJobs } from './hold/job-secrets.ts'
import { OwnStarts } from './hold/own-starts.ts'
import { createRunSpecs } from './hold/run-specs.ts'
import { AskedSecrets } from './reach/asked-secrets.ts'
import { askCommand } from './reach/credential-command.ts'
import { ReachableHosts } from './reach/reachable-hosts.ts'
import { tellTriedWith } from './reach/tried-with.ts'
import { runTicket } from './run-ticket.ts'
import { tellMissingKeys } from './tell-keys.ts'

/** How long killing commands and confirming it may take, after the drain. */
const STOP_COMMANDS_MS = 15_000

/** A worker takes one more run for every eight, so that no single job can fill it. */
const SPARE = 8

/** Starts a worker. Resolves when it takes tickets. */
export async function startWorker(options: {
  config: WorkerConfig
  env: Record<string, string | undefined>
  logger: Logger
  /** What the log leaves out; the secrets of jobs, and those that programs give, are added to it. */
  scrubber: SecretScrubber
  life: Life
  /** A secret that the processes of this worker share, so that nobody can guess passwords from their digests. */
  salt: string
}): Promise<void> {
  const { config, env, logger, scrubber, life, salt } = options
  const onError = (error: unknown) => logger.warn({ err: error }, 'Redis trouble; going on')
  const workerId = `${hostname()}-${process.pid}-${randomBytes(3).toString('hex')}`

  const keyFile = config.MUSTER_WORKER_KEY_FILE
  const onKeyTrouble = (error: unknown) =>
    logger.warn(
      { err: error },
      'the keys of workers cannot be read anew; still signing with the key that was read before',
    )
  const ledger = await openLedger({
    redisUrl: config.REDIS_URL,
    prefix: config.MUSTER_PREFIX,
    role: 'worker',
    ends: keyFile === undefined ? {} : await openEndSigner(keyFile, onKeyTrouble),
    onError,
  })
  life.closers.add('ledger', () => ledger.close())

  await tellMissingKeys(config, logger)
  const jobSecrets = createSecretsOfJobs(ledger, { keyFile, scrubber })
  life.closers.add('secrets of jobs', async () => jobSecrets.close())

  const { inventory, directories, programs, proxyPrograms } = await openWorkerInventory(config, logger, {
    readText: readTrustedFile,
    env,
  })
  life.closers.add('inventory', () => inventory.close())

  const watch = await watchJobs(ledger, onError)
  life.closers.add('job watch', () => watch.stop())

  const check = await openCheck(config.MUSTER_SERVER_PUBLIC_KEY_FILE, logger)
  const specs = createRunSpecs(ledger, { check, log: logger })
  const held = createHeldRuns(ledger, watch, { mayTake: specs.mayTake, onError })
  const onLapse = () => {
    logger.warn('the lease had run out; checking which runs are still ours')
    held.checkClaims().catch(onError)
  }
  const places = config.MUSTER_WORKER_CONCURRENCY + Math.ceil(config.MUSTER_WORKER_CONCURRENCY / SPARE)
  const lease = await startHeartbeat(ledger, workerId, { onError, onLapse, claims: () => held.claims(), places })
  life.closers.add('lease', () => lease.stop())

  const clockwork = await startClockwork(ledger, onError)
  life.closers.add('clockwork', () => clockwork.stop())

  const closing = new AbortController()
  // Every wait of every run may listen to it.
  setMaxListeners(0, closing.signal)
  const jumpTurns = openJumpTurns(ledger, workerId)
  life.closers.add('jump turns', () => jumpTurns.close())
  const knownHosts = loadKnownHosts(knownHostsFiles(config.MUSTER_KNOWN_HOSTS, config.HOME), {
    instead: `${config.HOME}/.ssh/known_hosts`,
    readText: readTrustedFile,
  })
  const pool = openPool({
    knownHosts,
    beforeDialThrough: (jumpName, { signal }) => jumpTurns.take(jumpName, signal),
  })
  life.closers.add('connections', () => pool.close())
  const commands = { programs, env, passedOn: config.MUSTER_CREDENTIAL_COMMAND_ENV, log: logger }
  const asked = new AskedSecrets((ref, host) => askCommand(ref, host, commands), scrubber)
  const secrets = { env: { ...env, SSH_SERVERS: config.SSH_SERVERS }, directories, asked }
  const hosts = new ReachableHosts({
    inventory: () => inventory.current(),
    secrets,
    proxies: { programs: proxyPrograms, env },
    policy: config.MUSTER_ADHOC_HOSTS,
    log: logger,
  })
  const triedWith = tellTriedWith({ specs, jobSecrets, hosts, knownHosts, salt, closing: closing.signal })
  const starts = new OwnStarts()
  const running = { specs, starts, jobSecrets, pool, held, closing: closing.signal, log: logger }
  const deps = { ledger, workerId, hosts, triedWith, ...running }
  const consumer = consumeTickets(ledger, {
    concurrency: places,
    handle: (ticket) => runTicket(deps, ticket),
    onError,
  })
  const graceMs = config.MUSTER_SHUTDOWN_GRACE_S * 1_000
  life.closers.add(
    'tickets',
    async () => {
      const drained = consumer.drain()
      await Promise.race([drained, setTimeout(graceMs, undefined, { ref: false })])
      held.shutDown()
      await Promise.race([drained, setTimeout(STOP_COMMANDS_MS, undefined, { ref: false })])
      closing.abort()
      await consumer.close()
    },
    graceMs + STOP_COMMANDS_MS + 2_000,
  )
  logger.info({ worker: workerId, concurrency: config.MUSTER_WORKER_CONCURRENCY }, 'ready')
}

/**
 * What checks signed work. Undefined without the keys of servers: the worker runs what Redis says.
 * @throws {MusterError} invalid_config when it has a file that cannot be used
 */
async function openCheck(keyFile: string | undefined, logger: Logger): Promise<CheckWork | undefined> {
  if (keyFile === undefined) return undefined
  const onTrouble = (error: unknown) =>
    logger.warn({ err: error }, 'the keys of servers cannot be read anew; work is checked by those read before')
  return (await openWorkChecker(keyFile, onTrouble)).check
}
