/**
 * Carries JSON-RPC between a client's lines and a server's `POST /mcp`, several requests at a time.
 *
 * It is not a server: it understands no tool, and keeps only the requests in flight and the revision that an older
 * client has negotiated. It sends a request a second time only to another server, when the first cannot have got it.
 */
import {
  INVALID_REQUEST,
  isJSONRPCNotification,
  isJSONRPCRequest,
  isJSONRPCResponse,
  isJSONRPCResultResponse,
  type JSONRPCMessage,
  type JSONRPCNotification,
  type JSONRPCRequest,
  PARSE_ERROR,
} from '@modelcontextprotocol/client'
import { type JsonTrouble, type ToolProfile, troubleInJson } from '@muster/contract'
import { z } from 'zod'
import type { ServerAddress } from '../client/server-url.ts'
import type { ServerFinder } from './find-server.ts'
import { type Forwarded, forwardMessage } from './forward-message.ts'
import { cutLines } from './json-lines.ts'
import { answerOf, refusalOf, searchFailureText } from './refusal.ts'

/** The bridge of one client. */
export type McpBridge = {
  /** Takes bytes from the client, in pieces of any size. */
  take(bytes: Buffer): void
  /** Gives the requests in flight a short time for their answers, then aborts them. That cancels no job. */
  end(): Promise<void>
}

/** A server's own limit. A longer request, if sent, might be cut off instead of refused. */
const REQUEST_LIMIT_BYTES = 256 * 1024
/** A request too long for a server must still be read, to find the ID to answer. */
const LINE_LIMIT_BYTES = 16 * 1024 * 1024
/** A client that has closed its end seldom waits longer than this. */
const LAST_ANSWERS_MS = 2_000

type Flight = { readonly id: JSONRPCRequest['id']; readonly abort: AbortController; readonly done: Promise<void> }

const Cancelled = z.object({ params: z.object({ requestId: z.union([z.string(), z.number()]) }) })
const Agreed = z.looseObject({ protocolVersion: z.string() })
const WithId = z.looseObject({ id: z.union([z.string(), z.number()]) })

/** Makes the bridge. `write` gets whole messages for the client, `say` lines for a person. */
export function createMcpBridge(options: {
  readonly servers: ServerFinder
  /** The set of tools that every request asks for. */
  readonly profile: ToolProfile
  readonly write: (message: object) => void
  readonly say: (line: string) => void
}): McpBridge {
  const { servers, profile, write, say } = options
  const flights = new Set<Flight>()
  let protocolVersion: string | undefined

  const receive = (request: JSONRPCRequest, message: JSONRPCMessage) => {
    if (request.method === 'initialize' && isJSONRPCResultResponse(message)) {
      protocolVersion = Agreed.safeParse(message.result).data?.protocolVersion
    }
    write(message)
  }

  const ask = async (request: JSONRPCRequest, signal: AbortSignal): Promise<void> => {
    const bytes = Buffer.byteLength(JSON.stringify(request))
    if (bytes > REQUEST_LIMIT_BYTES) {
      const advice = 'Send a smaller command, script or stdin; copy files by other means.'
      write(refusalOf(request, `The request has ${bytes} bytes; the limit is ${REQUEST_LIMIT_BYTES}. ${advice}`))
      return
    }
    const onMessage = (message: JSONRPCMessage) => receive(request, message)
    const reached = await reach(servers, request, { signal, profile, protocolVersion, onMessage })
    if (signal.aborted) return
    if ('failure' in reached) {
      write(refusalOf(request, reached.failure))
      return
    }
    const { forwarded, server } = reached
    if (forwarded.kind !== 'answered' && forwarded.kind !== 'cancelled') write(answerOf(request, forwarded, server))
  }

  const fly = (message: JSONRPCRequest) => {
    const abort = new AbortController()
    const done = ask(message, abort.signal)
      .catch((error: unknown) => {
        say(String(error))
        write(refusalOf(message, `The bridge failed: ${String(error)}`))
      })
      .finally(() => flights.delete(flight))
    const flight: Flight = { id: message.id, abort, done }
    flights.add(flight)
  }

  // The only notification of a client that matters to a stateless server.
  const tell = (notification: JSONRPCNotification) => {
    if (notification.method !== 'notifications/cancelled') return
    const cancelled = Cancelled.safeParse(notification).data?.params.requestId
    for (const flight of flights) if (flight.id === cancelled) flight.abort.abort()
  }

  const takeLine = (line: string) => {
    if (line.trim() === '') return
    const message = parse(line)
    const trouble = troubleInJson(line)
    if (message === undefined) write(fault(undefined, PARSE_ERROR, 'the line is not JSON'))
    else if (trouble !== undefined) write(refusalOfTrouble(message, trouble))
    else if (isJSONRPCRequest(message)) fly(message)
    else if (isJSONRPCNotification(message)) tell(message)
    else if (!isJSONRPCResponse(message)) {
      const form = 'a line holds one JSON-RPC 2.0 request or notification, with a string or an integer as id'
      write(fault(WithId.safeParse(message).data?.id, INVALID_REQUEST, form))
    }
  }

  return {
    take: cutLines(LINE_LIMIT_BYTES, (cut) => {
      if ('line' in cut) takeLine(cut.line)
      else write(fault(cut.id, INVALID_REQUEST, `a line of ${cut.tooLongBytes} bytes is too long`))
    }),
    end: async () => {
      const timer = setTimeout(() => {
        for (const { abort } of flights) abort.abort()
      }, LAST_ANSWERS_MS)
      await Promise.all([...flights].map(({ done }) => done))
      clearTimeout(timer)
    },
  }
}

type Reached = { readonly forwarded: Forwarded; readonly server: ServerAddress }

/** Sends a request to the current server. If nobody received it, sends it to the server that runs instead, if any. */
async function reach(
  servers: ServerFinder,
  request: JSONRPCRequest,
  options: Omit<Parameters<typeof forwardMessage>[1], 'server'>,
): Promise<Reached | { readonly failure: string }> {
  const send = async (server: ServerAddress) => {
    return { server, forwarded: await forwardMessage(request, { ...options, server }) }
  }
  try {
    const first = await send(await servers.find(options.signal))
    if (first.forwarded.kind !== 'unreached') return first
    const instead = await servers.find(options.signal, first.server)
    return instead.url === first.server.url ? first : await send(instead)
  } catch (error) {
    return { failure: searchFailureText(error) }
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    // JSON has no undefined, so this stands for no value.
    return undefined
  }
}

/** Where a parser would drop a value without an error. If an ID is given twice, the refusal names none. */
function refusalOfTrouble(message: unknown, { field, text }: JsonTrouble): object {
  const why = field === '' ? text : `${field}: ${text}`
  return field !== 'id' && isJSONRPCRequest(message)
    ? refusalOf(message, `The call was not sent: ${why}.`)
    : fault(undefined, INVALID_REQUEST, why)
}

function fault(id: JSONRPCRequest['id'] | null | undefined, code: number, message: string): object {
  return { jsonrpc: '2.0', id: id ?? null, error: { code, message: `${message}.` } }
}
