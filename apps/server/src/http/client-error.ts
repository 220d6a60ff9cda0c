/** Answers what Node refuses before it is a request, such as a header line without a colon, as a problem too. */
import type { Socket } from 'node:net'
import { MusterError, toProblem } from '@muster/contract'

/** Statuses of refusals that are not simply a request that cannot be read, by Node's codes. */
const STATUSES: Readonly<Record<string, { readonly status: string; readonly why: string }>> = {
  HPE_HEADER_OVERFLOW: { status: '431 Request Header Fields Too Large', why: 'its headers are longer than 16 KiB' },
  ERR_HTTP_REQUEST_TIMEOUT: { status: '408 Request Timeout', why: 'it did not arrive in time' },
}

/** Answers and closes the connection. Nothing can be said to a caller who is gone or does not speak TLS. */
export function answerClientError(error: Error & { readonly code?: string }, socket: Socket): void {
  const { code = '' } = error
  const isHttp = code.startsWith('HPE_') || code === 'ERR_HTTP_REQUEST_TIMEOUT'
  if (!isHttp || !socket.writable) {
    socket.destroy()
    return
  }
  const { status, why } = STATUSES[code] ?? { status: '400 Bad Request', why: `it is no HTTP/1.1 (${code})` }
  const problem = toProblem(new MusterError('invalid_request', `the request cannot be read: ${why}`))
  const body = JSON.stringify({ ...problem, status: Number(status.slice(0, 3)) })
  const head = [`HTTP/1.1 ${status}`, 'content-type: application/problem+json; charset=utf-8', 'connection: close']
  socket.end(`${head.join('\r\n')}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
}
