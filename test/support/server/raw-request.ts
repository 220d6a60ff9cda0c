/** HTTP requests byte by byte, for what no client would send. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { type Problem, Problem as ProblemForm } from '@muster/contract'
import { onTestFinished } from 'vitest'

/** Sends bytes as they are and answers all that comes back until the server closes the connection. */
export async function rawRequest(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  onTestFinished(() => {
    socket.destroy()
  })
  let answer = ''
  socket.on('data', (chunk) => {
    answer += chunk.toString()
  })
  // The server may answer and close before it has read everything.
  socket.on('error', () => undefined)
  socket.write(text)
  await once(socket, 'close', { signal: AbortSignal.timeout(10_000) })
  return answer
}

/** A request of these header lines and this body. It asks the server to close the connection. */
export function rawText(start: string, lines: readonly string[], body?: string): string {
  const length = body === undefined ? [] : [`Content-Length: ${Buffer.byteLength(body)}`]
  return `${[start, ...lines, ...length, 'Connection: close'].join('\r\n')}\r\n\r\n${body ?? ''}`
}

/** The status of an answer, and the problem that it is, if it is one. */
export function readAnswer(answer: string): { status: number; problem: Problem | undefined } {
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1] ?? 0)
  if (!/\r\ncontent-type: application\/problem\+json/i.test(answer)) return { status, problem: undefined }
  return { status, problem: ProblemForm.parse(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4))) }
}
