/**
 * Asks a Redis server whether it is ready, over a plain socket: AUTH if the URL has a password, then PING.
 *
 * It is not a client; code that uses Redis brings its own.
 */
import { connect as connectTcp, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { MusterError } from '@muster/contract'

const PORT_DEFAULT = 6379
const RETRY_MS = 50
/** The replies to AUTH and PING are a few bytes; a server that sends more is not Redis. */
const REPLY_LIMIT_BYTES = 4_096
const GIVEN_UP = 'given up'

/**
 * What a server answered. `loading`: Redis is reading its data or busy with a script, and will be ready. `denied`:
 * Redis wants another password. `strange`: it is not Redis, or a Redis that is not fit for use. `unreachable`: there
 * was no connection, or it was closed at once. `silent`: there was no answer in time.
 */
export interface PingAnswer {
  state: 'ready' | 'loading' | 'denied' | 'unreachable' | 'strange' | 'silent'
  /** For people: the reply or the network error. */
  detail: string
}

/** The address of a Redis URL without user and password, for messages: `10.0.0.5:6379`. */
export function redisAddress(url: string): string {
  const { hostname, port } = parseRedisUrl(url)
  return `${hostname}:${port || PORT_DEFAULT}`
}

/**
 * Asks once. Network trouble is an answer, not an error; so is giving up by `signal` (`silent`).
 * @throws {MusterError} `invalid_config` when the URL is not of the form `redis://[user:password@]host[:port][/db]` (or
 *   `rediss:`).
 */
export function pingRedis(url: string, timeoutMs: number, signal?: AbortSignal): Promise<PingAnswer> {
  const { protocol, hostname, port, username, password } = parseRedisUrl(url)
  const address = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || PORT_DEFAULT) }
  const auth =
    password === '' ? [] : [['AUTH', ...(username === '' ? [] : [username]), password].map(decodeURIComponent)]
  const requests = [...auth, ['PING']]
  if (signal?.aborted === true) return Promise.resolve({ state: 'silent', detail: GIVEN_UP })
  return new Promise((resolve) => {
    const socket: Socket =
      protocol === 'rediss:' ? connectTls({ ...address, servername: address.host }) : connectTcp(address)
    const timer = setTimeout(() => answer('silent', `no answer within ${timeoutMs} ms`), timeoutMs)
    const answer = (state: PingAnswer['state'], detail: string): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', giveUp)
      socket.destroy()
      resolve({ state, detail })
    }
    const giveUp = (): void => answer('silent', GIVEN_UP)
    signal?.addEventListener('abort', giveUp, { once: true })
    let received = ''
    socket.on('error', (error) => answer('unreachable', error.message))
    socket.on('close', () => answer('unreachable', 'the connection was closed without an answer'))
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1')
      const replies = received.split('\r\n').slice(0, -1)
      const complaint = replies.find((reply) => reply.startsWith('-'))
      if (complaint !== undefined) answer(stateOf(complaint), complaint.slice(1))
      else if (replies.length >= requests.length)
        answer(replies.at(-1) === '+PONG' ? 'ready' : 'strange', received.slice(0, 80))
      else if (received.length > REPLY_LIMIT_BYTES) answer('strange', received.slice(0, 80))
    })
    socket.write(requests.map(encodeRequest).join(''))
  })
}

/**
 * Asks until Redis is ready. Resolves with the last answer, which is `ready` unless the time ran out, `signal` aborted,
 * or it was `denied` or `strange`: these are final. Any other server is asked again.
 */
export async function waitForRedis(url: string, deadlineMs: number, signal?: AbortSignal): Promise<PingAnswer> {
  const until = performance.now() + deadlineMs
  for (;;) {
    const answer = await pingRedis(url, Math.max(RETRY_MS, until - performance.now()), signal)
    const isFinal = answer.state === 'ready' || answer.state === 'denied' || answer.state === 'strange'
    if (isFinal || signal?.aborted === true || performance.now() + RETRY_MS > until) return answer
    await delay(RETRY_MS)
  }
}

function parseRedisUrl(url: string): URL {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed !== undefined && /^rediss?:$/.test(parsed.protocol) && parsed.hostname !== '') return parsed
  // The value itself may hold a password, so it is not shown.
  throw new MusterError(
    'invalid_config',
    'The Redis URL is not of the form redis://[user:password@]host[:port][/db] (or rediss:// for TLS).',
  )
}

/** RESP: an array of bulk strings, each with its length in bytes. */
function encodeRequest(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`
}

function stateOf(complaint: string): PingAnswer['state'] {
  if (/^-(LOADING|BUSY)/.test(complaint)) return 'loading'
  return /^-(WRONGPASS|NOAUTH|NOPERM|ERR (invalid password|AUTH|Client sent AUTH))/i.test(complaint)
    ? 'denied'
    : 'strange'
}
