/** Answers what Node refuses before it is a request, such as a header line without a colon, as a problem too. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { MusterError, toProblem } from '@muster/contract'

/** What Node's parser tells of an error. */
export type ParserError = Error & {
  readonly code?: string
  readonly reason?: string
  readonly bytesParsed?: number
  readonly rawPacket?: unknown
}

/** Statuses of refusals that are not simply a request that cannot be read, by Node's codes. */
const STATUSES: Readonly<Record<string, { readonly status: string; readonly why: string }>> = {
  HPE_HEADER_OVERFLOW: { status: '431 Request Header Fields Too Large', why: 'its headers are longer than 16 KiB' },
  ERR_HTTP_REQUEST_TIMEOUT: { status: '408 Request Timeout', why: 'it did not arrive in time' },
}

/** Answers and closes the connection. Nothing can be said to a caller who is gone or does not speak TLS. */
export function answerClientError(error: ParserError, socket: Socket): void {
  const { code = '' } = error
  const isHttp = code.startsWith('HPE_') || code === 'ERR_HTTP_REQUEST_TIMEOUT'
  if (!isHttp || !socket.writable) {
    socket.destroy()
    return
  }
  const field = fieldOf(error)
  const named = field === undefined ? '' : `${field}: `
  const { status, why } = STATUSES[code] ?? { status: '400 Bad Request', why: `${named}${wordsOf(error)} (${code})` }
  const body = problemText(Number(status.slice(0, 3)), `the request cannot be read: ${why}`, field)
  const head = [`HTTP/1.1 ${status}`, 'content-type: application/problem+json; charset=utf-8', 'connection: close']
  socket.end(`${head.join('\r\n')}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
}

/** Answers a request that expects of us what we do not know. */
export function answerExpectation({ headers }: IncomingMessage, response: ServerResponse): void {
  const received = JSON.stringify(String(headers.expect).slice(0, 100))
  const body = problemText(417, `Expect: received ${received}; accepted: 100-continue, or no such header`, 'Expect')
  const head = { 'content-type': 'application/problem+json; charset=utf-8', connection: 'close' }
  response.writeHead(417, { ...head, 'content-length': Buffer.byteLength(body) }).end(body)
}

function problemText(status: number, message: string, field: string | undefined): string {
  const problem = toProblem(
    new MusterError('invalid_request', message, field === undefined ? {} : { details: { field } }),
  )
  return JSON.stringify({ ...problem, status })
}

function wordsOf({ code, reason }: ParserError): string {
  // Its own words are about a protocol that we do not speak.
  return reason === undefined || code === 'HPE_PAUSED_H2_UPGRADE' ? 'it is no HTTP/1.1' : reason
}

/** The header at fault. Never its value, which may be a secret. */
function fieldOf({ code = '', bytesParsed = 0, rawPacket }: ParserError): string | undefined {
  if (code.endsWith('_CONTENT_LENGTH')) return 'Content-Length'
  if (code.endsWith('_TRANSFER_ENCODING')) return 'Transfer-Encoding'
  if (code !== 'HPE_INVALID_HEADER_TOKEN' || !Buffer.isBuffer(rawPacket)) return undefined
  const before = rawPacket.subarray(0, bytesParsed).toString('latin1')
  return /\n([\w!#$%&'*+.^`|~-]{1,60}):[^\n]*$/.exec(before)?.[1]
}
