/**
 * What went wrong on the way to a host, in Muster's words: ssh2's errors become a reason and a text for people.
 *
 * Measured against OpenSSH; ssh2 gives three different fields (level, code, reason) and sometimes none.
 */
import type { Reason } from '@muster/contract'

/** Why something did not work. `detail` is for people and holds no secret. */
export type Failure = { readonly reason: Reason; readonly detail: string }

/** How far a connection got: each phase is named by what is waited for. */
export type DialPhase = 'the TCP connection' | 'the SSH handshake' | 'the log-in'

const DNS_CODES = new Set(['ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL', 'EAI_NODATA', 'EAI_NONAME', 'EAI_ADDRFAMILY'])

/** Disconnect reasons that mean "you may not log in". @see RFC 4253, section 11.1; OpenSSH uses 2 for too many tries */
const LOGIN_DISCONNECTS = new Set([2, 7, 13, 14, 15])

/** Why a connection that was not ready yet failed. `tried` is the list of credentials. */
export function explainDialError(error: Error, phase: DialPhase, tried: string): Failure {
  const { level, code } = fieldsOf(error)
  const message = printable(error.message)
  if (level === 'client-socket') return explainSocketError(typeof code === 'string' ? code : '', message, phase)
  if (level === 'client-authentication')
    return { reason: 'auth_failed', detail: `no credential was accepted: ${tried}` }
  if (phase === 'the log-in' && typeof code === 'number' && LOGIN_DISCONNECTS.has(code)) {
    return { reason: 'auth_failed', detail: `the host ended the log-in: ${message}; ${tried}` }
  }
  if (message === 'Connection lost before handshake') return closedEarly('the SSH handshake')
  return { reason: 'kex_failed', detail: `${message}, while waiting for ${phase}` }
}

/** Why a connection that was closed before it was ready, without any error, failed. */
export function closedEarly(phase: DialPhase): Failure {
  const hint = phase === 'the SSH handshake' ? '; it may be at its limit of connections, or no SSH server at all' : ''
  return { reason: 'conn_refused', detail: `the host closed the connection instead of ${phase.slice(4)}${hint}` }
}

/** Text from a host, made fit for a line of ours: no control characters, and not without end. */
export function printable(text: string): string {
  const line = text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim()
  return line.length > 200 ? `${line.slice(0, 200)}…` : line
}

/** The fields ssh2 and Node put on their errors. */
export function fieldsOf(error: Error): { level: unknown; code: unknown } {
  return { level: 'level' in error ? error.level : undefined, code: 'code' in error ? error.code : undefined }
}

function explainSocketError(code: string, message: string, phase: DialPhase): Failure {
  if (DNS_CODES.has(code)) return { reason: 'dns_error', detail: `its address cannot be looked up: ${code}` }
  if (code === 'ETIMEDOUT') return { reason: 'conn_timeout', detail: `no answer: ${code} in ${phase}` }
  const what = code === 'ECONNREFUSED' ? 'nothing listens there' : message
  return { reason: 'conn_refused', detail: `${code || 'the connection failed'}, while waiting for ${phase}: ${what}` }
}
