/**
 * The HTTP client: one typed call for every row of the operation table that has a route. It knows no command and prints
 * nothing.
 */
import {
  type JobEvent,
  MusterError,
  OPERATIONS,
  type Operation,
  type OperationName,
  type Output,
  Problem,
  type Request,
  type RestRoute,
} from '@muster/contract'
import { z } from 'zod'
import { readEvents } from './event-stream.ts'
import { isOnThisMachine, type ServerAddress } from './server-url.ts'
import { untrusted } from './tls-authority.ts'

/** A refusal by the server, in the server's words. */
export class Refused extends Error {
  override readonly name = 'Refused'
  readonly problem: Problem

  constructor(problem: Problem) {
    super(problem.detail)
    this.problem = problem
  }
}

/** Calls operations of one server. */
export type Client = {
  readonly url: string
  /**
   * @throws {Refused} when the server refuses
   * @throws {MusterError} ledger_unavailable when there is no server at the address, or the connection broke;
   *   invalid_config when the API key cannot be sent, or the server's certificate is not trusted
   */
  call<N extends RestOperation>(name: N, input: Request<N>, signal?: AbortSignal): Promise<Output<N>>
  /**
   * Follows a job. A stream that ends without an `end` was cut. `onHeard` is called whenever anything arrives, even if
   * it is no event.
   * @throws what `call` throws
   */
  follow(input: Request<'follow_job'>, signal: AbortSignal, onHeard: () => void): AsyncIterable<JobEvent>
}

/** The operations that have a route which answers once. */
type RestOperation = {
  [N in OperationName]: (typeof OPERATIONS)[N] extends { rest: { answers: 'events' } }
    ? never
    : (typeof OPERATIONS)[N] extends { rest: RestRoute }
      ? N
      : never
}[OperationName]

/** A connection slower than this counts as dead. */
const SLOWEST_BYTES_PER_MS = 128
/** On top of the time to send the request and the time that the server was asked to wait. */
const ANSWER_TIMEOUT_MS = 15_000
/** A stream of events that is silent for this long is dead: the server sends a comment every 15 s. */
const SILENCE_MS = 45_000

/** What a gateway answers when its server is away. */
const GATEWAY_STATUSES: ReadonlySet<number> = new Set([502, 503, 504])

/** The operation table, typed so that the name gives the type of the answer. */
const ANSWERS: { readonly [N in OperationName]: { readonly output: Pick<z.ZodType<Output<N>>, 'parse'> } } = OPERATIONS

const Fields = z.record(z.string(), z.unknown())

/** Makes a client. */
export function createClient(options: ServerAddress): Client {
  return {
    url: options.url,
    call: async (name, input, signal) => {
      const { rest }: Operation = OPERATIONS[name]
      if (rest === undefined) throw new MusterError('internal', `${name} has no route`)
      return ANSWERS[name].output.parse(await send(options, rest, Fields.parse(input), signal))
    },
    follow: (input, signal, onHeard) => follow(options, input, signal, onHeard),
  }
}

async function send(
  server: ServerAddress,
  rest: RestRoute,
  input: Record<string, unknown>,
  signal: AbortSignal | undefined,
): Promise<unknown> {
  const waitMs = typeof input.wait_s === 'number' ? input.wait_s * 1_000 : 0
  const ready = requestOf(server, rest, input)
  const sendingMs = Math.ceil((ready.body?.length ?? 0) / SLOWEST_BYTES_PER_MS)
  const silent = new AbortController()
  // A timer of our own: Node 20 loses that of AbortSignal.timeout inside AbortSignal.any when garbage is collected.
  const timer = setTimeout(() => silent.abort(), waitMs + sendingMs + ANSWER_TIMEOUT_MS)
  const either = signal === undefined ? silent.signal : AbortSignal.any([signal, silent.signal])
  try {
    const response = await reach(server, signal, () => request(ready, either))
    return await response.json().catch((error: unknown) => {
      signal?.throwIfAborted()
      throw new MusterError('ledger_unavailable', `the connection to ${server.url} was cut`, { cause: error })
    })
  } finally {
    clearTimeout(timer)
  }
}

async function* follow(
  server: ServerAddress,
  input: Request<'follow_job'>,
  signal: AbortSignal,
  onHeard: () => void,
): AsyncGenerator<JobEvent> {
  const silent = new AbortController()
  const timer = setTimeout(() => silent.abort(), SILENCE_MS)
  const onBytes = () => {
    timer.refresh()
    onHeard()
  }
  const either = AbortSignal.any([signal, silent.signal])
  try {
    const ready = requestOf(server, OPERATIONS.follow_job.rest, input)
    const response = await reach(server, signal, () => request(ready, either))
    if (response.body !== null) yield* readEvents(response.body, onBytes)
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof Refused || error instanceof MusterError) throw error
    throw new MusterError('ledger_unavailable', 'the stream broke off', { cause: error })
  } finally {
    clearTimeout(timer)
  }
}

/** A request, ready to be sent. */
type Ready = {
  readonly url: string
  readonly method: RestRoute['method']
  readonly headers: Record<string, string>
  readonly body?: Buffer
}

function requestOf({ url, apiKey }: ServerAddress, rest: RestRoute, fields: Record<string, unknown>): Ready {
  const { path, others } = fillPath(rest.path, fields)
  const { method } = rest
  const authorization = `Bearer ${apiKey}`
  if (method === 'GET') {
    return { url: `${url}${path}?${new URLSearchParams(texts(others))}`, method, headers: { authorization } }
  }
  const headers = { authorization, 'content-type': 'application/json' }
  return { url: `${url}${path}`, method, headers, body: Buffer.from(JSON.stringify(others)) }
}

/** Sends a request; resolves when the server begins to answer. */
function request({ url, ...rest }: Ready, signal: AbortSignal): Promise<Response> {
  // A key goes nowhere but to the address that it is for.
  return fetch(url, { ...rest, signal, redirect: 'manual' })
}

/**
 * The answer, if it is a success.
 * @throws what `call` of a client throws
 */
async function reach(
  { url }: ServerAddress,
  signal: AbortSignal | undefined,
  ask: () => Promise<Response>,
): Promise<Response> {
  let response: Response
  try {
    response = await ask()
  } catch (error) {
    signal?.throwIfAborted()
    // A fault of the connection has a cause. Without one, fetch refuses a header, in words that may quote the key.
    if (error instanceof TypeError && error.cause === undefined) {
      throw new MusterError('invalid_config', 'the API key (not shown) has characters that no header can hold')
    }
    const notTrusted = untrusted(url, error)
    if (notTrusted !== undefined) throw notTrusted
    const advice = isOnThisMachine(new URL(url).hostname)
      ? 'muster up starts one'
      : 'is the address right, does the server run, and is there a way to it?'
    const message = `no Muster server answers at ${url} (${advice})`
    throw new MusterError('ledger_unavailable', message, { cause: error })
  }
  if (response.ok) return response
  if (response.status >= 300 && response.status < 400) {
    const advice = 'no redirect is followed with an API key: name the address that it leads to'
    throw new MusterError('invalid_config', `${url} answered with a redirect (${response.status}); ${advice}`)
  }
  const problem = Problem.safeParse(await response.json().catch(() => undefined))
  if (problem.success) throw new Refused(problem.data)
  if (GATEWAY_STATUSES.has(response.status)) {
    throw new MusterError('ledger_unavailable', `a gateway before ${url} answered ${response.status}`)
  }
  throw new MusterError('internal', `${url} answered ${response.status}, but not as a Muster server would`)
}

function fillPath(path: string, fields: Record<string, unknown>) {
  const others = { ...fields }
  const filled = path.replace(/:(\w+)/g, (_match, field: string) => {
    delete others[field]
    return encodeURIComponent(String(fields[field]))
  })
  return { path: filled, others }
}

function texts(fields: Record<string, unknown>): Record<string, string> {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined)
  return Object.fromEntries(given.map(([name, value]) => [name, String(value)]))
}
