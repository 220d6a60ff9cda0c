/**
 * Opens the ledger: the connections to Redis and the ticket queue. The other files of this package are functions over a
 * {@link Ledger}.
 */
import { MusterError } from '@muster/contract'
import { Queue } from 'bullmq'
import { Redis, type RedisOptions } from 'ioredis'
import { type Keys, keysOf, TICKET_QUEUE } from './keys.ts'

/**
 * How the ends of runs are vouched for. A worker signs; a server checks with the public halves of the workers' keys.
 */
export type EndKeys = {
  /** Signs a text; undefined while there is no key to sign with. Absent: this process ends runs unsigned. */
  readonly sign?: (text: string) => Promise<string | undefined>
  /** Checks a batch of ends by the keys as they are now; undefined while there are none. Absent: none is checked. */
  readonly freshCheck?: () => Promise<CheckEnd | undefined>
  /** Hears of each end that it was read and that nobody vouches for; of the same one again and again. */
  readonly onUnverified?: (run: UnverifiedEnd) => void
}

/** Whether this signature of a worker covers this text. libs/trust has one that does; the ledger knows no keys. */
export type CheckEnd = (text: string, signature: string) => boolean

/** A run whose end no worker vouches for. */
export type UnverifiedEnd = {
  readonly jobId: string
  readonly index: number
  readonly host: string
  /** What Redis says of its end, in words. */
  readonly said: string
}

/** An open ledger. */
export type Ledger = {
  readonly redis: Redis
  readonly keys: Keys
  readonly ends: EndKeys
  /** The queue of tickets, for Bull Board. */
  readonly tickets: Queue
  /** A second connection, which only listens. It is made on first use and closed with the ledger. */
  readonly listener: () => Redis
  /** Makes another connection to the same Redis, for BullMQ's blocking reads. The caller closes it. */
  readonly connectBlocking: () => Redis
  /** @throws {MusterError} ledger_unavailable when Redis does not answer */
  ping(): Promise<void>
  /** Closes all connections, whatever is under way. */
  close(): Promise<void>
}

/** How long a process waits for Redis when it starts. */
const OPEN_TIMEOUT_MS = 10_000

/**
 * A server refuses rather than waits: a request that was answered 503 must not be carried out later, as an offline
 * queue would do.
 */
const FAIL_FAST: RedisOptions = {
  enableOfflineQueue: false,
  maxRetriesPerRequest: 1,
  commandTimeout: 2_000,
  retryStrategy: (times) => Math.min(times * 100, 1_000),
}

/** A worker waits: it holds the results of commands that have already run. */
const PATIENT: RedisOptions = {
  maxRetriesPerRequest: null,
  retryStrategy: (times) => Math.min(times * 200, 2_000),
}

/**
 * Connects to Redis and resolves when it answers.
 * @throws {MusterError} ledger_unavailable after 10 s without an answer
 */
export async function openLedger(options: {
  redisUrl: string
  /** Keeps two Musters on one Redis apart. Absent: "muster". */
  prefix?: string
  /** While Redis is away, a server fails fast and a worker waits. */
  role: 'server' | 'worker'
  /** Absent: nothing is signed, and nothing checked. */
  ends?: EndKeys
  /** Hears of connection errors; ioredis reconnects by itself. */
  onError?: (error: Error) => void
}): Promise<Ledger> {
  const keys = keysOf(options.prefix ?? 'muster')
  const onError = options.onError ?? (() => {})
  const connect = (settings: RedisOptions) => {
    const redis = new Redis(options.redisUrl, settings)
    redis.on('error', onError)
    return redis
  }
  const redis = connect(options.role === 'server' ? FAIL_FAST : PATIENT)
  try {
    await untilReady(redis)
  } catch (error) {
    redis.disconnect()
    const why = `no Redis answered at ${withoutPassword(options.redisUrl)} in ${OPEN_TIMEOUT_MS / 1_000} s`
    const advice = 'start it, or correct the address and its password'
    const message = `REDIS_URL: ${why} (${wordsOf(error)}): ${advice}`
    throw new MusterError('ledger_unavailable', message, { cause: error })
  }
  const tickets = new Queue(TICKET_QUEUE, { connection: redis, prefix: keys.base })
  tickets.on('error', onError)
  let listener: Redis | undefined
  return {
    redis,
    keys,
    ends: options.ends ?? {},
    tickets,
    listener: () => {
      listener ??= connect(PATIENT)
      return listener
    },
    connectBlocking: () => connect(PATIENT),
    ping: () => ping(redis),
    close: async () => {
      await tickets.close()
      listener?.disconnect()
      redis.disconnect()
    },
  }
}

function untilReady(redis: Redis): Promise<void> {
  return new Promise((resolve, reject) => {
    let lastError: unknown
    const done = (settle: () => void) => {
      clearTimeout(timer)
      redis.off('ready', onReady)
      redis.off('error', onError)
      settle()
    }
    const onReady = () => done(resolve)
    const onError = (error: unknown) => {
      lastError = error
    }
    const timer = setTimeout(() => done(() => reject(lastError)), OPEN_TIMEOUT_MS)
    redis.on('ready', onReady)
    redis.on('error', onError)
  })
}

async function ping(redis: Redis): Promise<void> {
  await ask(redis, () => redis.ping())
}

/**
 * Asks Redis, and turns "it is away" and "it is full" into our own errors; other errors pass. With `jobId`, the errors
 * name that job in `details.job_id`.
 * @throws {MusterError} ledger_unavailable: the question may have been carried out all the same
 * @throws {MusterError} ledger_full, and nothing was stored
 */
export async function ask<T>(redis: Redis, question: () => Promise<T>, jobId?: string): Promise<T> {
  try {
    return await question()
  } catch (error) {
    const options = { cause: error, ...(jobId === undefined ? {} : { details: { job_id: jobId } }) }
    if (isFull(error)) throw new MusterError('ledger_full', FULL, options)
    if (!isUnavailable(error, redis)) throw error
    throw new MusterError('ledger_unavailable', 'Redis is away or did not answer in time', options)
  }
}

/** What a caller is told when Redis has no memory for the request. */
export const FULL = 'Redis is full: it has reached its limit, maxmemory, or nearly so, and nothing was stored'

/** Whether Redis refused a command because it is full. */
function isFull(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('OOM ')
}

/** What ioredis says when it cannot reach Redis, and what Redis says when it cannot serve. */
const AWAY = [
  /Command timed out|Connection is closed|max retries|enableOfflineQueue|ECONN|EPIPE/,
  /LOADING|MISCONF|READONLY/,
]

function isUnavailable(error: unknown, redis: Redis): boolean {
  if (!(error instanceof Error)) return false
  if (redis.status !== 'ready') return true
  return AWAY.some((words) => words.test(`${error.name} ${error.message}`))
}

function withoutPassword(text: string): string {
  const url = new URL(text)
  return `${url.protocol}//${url.host}${url.pathname}`
}

/** An attempt at several addresses has no message of its own, but a code. */
function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return 'it said nothing'
  return error.message || ('code' in error ? String(error.code) : error.name)
}
