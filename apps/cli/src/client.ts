/**
 * The HTTP client: one typed call for every row of the operation table that has a route. Knows no command and prints
 * nothing.
 */
import {
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

/** A refusal by the server, as it put it. */
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
   * @throws {MusterError} ledger_unavailable when there is no server at the address
   */
  call<N extends RestOperation>(name: N, input: Request<N>, signal?: AbortSignal): Promise<Output<N>>
}

/** The operations that have a route. */
type RestOperation = {
  [N in OperationName]: (typeof OPERATIONS)[N] extends { rest: RestRoute } ? N : never
}[OperationName]

/** Beyond the time that the server itself was asked to wait. */
const ANSWER_TIMEOUT_MS = 15_000
/** Submits are sent again under the same idempotency key when the answer was lost. */
const TRIES = 3

/** The operation table, seen so that the type of an answer follows from the name. */
const ANSWERS: { readonly [N in OperationName]: { readonly output: Pick<z.ZodType<Output<N>>, 'parse'> } } = OPERATIONS

/** Makes a client. */
export function createClient(options: { url: string; apiKey: string }): Client {
  return {
    url: options.url,
    call: async (name, input, signal) => {
      const { rest }: Operation = OPERATIONS[name]
      if (rest === undefined) throw new MusterError('internal', `${name} has no route`)
      const answer = await withRetry(name === 'submit_job' ? TRIES : 1, () => send(options, rest, input, signal))
      return ANSWERS[name].output.parse(answer)
    },
  }
}

async function withRetry<T>(tries: number, send: () => Promise<T>): Promise<T> {
  for (let left = tries - 1; ; left -= 1) {
    try {
      return await send()
    } catch (error) {
      const isPassing = error instanceof MusterError || (error instanceof Refused && error.problem.status === 503)
      if (!isPassing || left <= 0) throw error
    }
  }
}

const Fields = z.record(z.string(), z.unknown())

async function send(
  { url, apiKey }: { url: string; apiKey: string },
  rest: RestRoute,
  input: unknown,
  signal: AbortSignal | undefined,
): Promise<unknown> {
  const fields = Fields.parse(input)
  const { path, others } = fillPath(rest.path, fields)
  const query = rest.method === 'GET' ? `?${new URLSearchParams(texts(others))}` : ''
  const waitMs = typeof fields['wait_s'] === 'number' ? fields['wait_s'] * 1_000 : 0
  const signals = [AbortSignal.timeout(waitMs + ANSWER_TIMEOUT_MS), ...(signal === undefined ? [] : [signal])]
  let response: Response
  try {
    response = await fetch(`${url}${path}${query}`, {
      method: rest.method,
      headers: {
        authorization: `Bearer ${apiKey}`,
        ...(rest.method === 'GET' ? {} : { 'content-type': 'application/json' }),
      },
      ...(rest.method === 'GET' ? {} : { body: JSON.stringify(others) }),
      signal: AbortSignal.any(signals),
    })
  } catch (error) {
    signal?.throwIfAborted()
    throw new MusterError('ledger_unavailable', `no Muster server answers at ${url}; start one with: muster up`, {
      cause: error,
    })
  }
  const body: unknown = await response.json().catch(() => undefined)
  if (response.ok) return body
  const problem = Problem.safeParse(body)
  if (problem.success) throw new Refused(problem.data)
  throw new MusterError('internal', `${url} answered ${response.status} and not as a Muster server does`)
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
