/**
 * Why a host was not reached, in Muster's words: errors of ssh2 and of the socket become a reason and a text for people.
 *
 * Measured against OpenSSH; ssh2 gives three different fields (level, code, reason) and sometimes none.
 */
import { type Failure, failure, fieldsOf, printable } from '../verdict/failure.ts'

/** How far a connection got: each phase is named by what is waited for. */
export type DialPhase =
  | 'the look-up of its address'
  | 'the TCP connection'
  | 'the SSH handshake'
  | 'the log-in'
  /** In the middle of the log-in: the agent is on our side, and what it leaves undone is no fault of the host. */
  | 'the SSH agent'

/** What the system of this worker says by itself, without having asked the host, or having found a way to it. */
const LOCAL_CODES = new Set([
  ...['ENETUNREACH', 'EHOSTUNREACH', 'ENETDOWN', 'EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL', 'EACCES', 'EPERM'],
  ...['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'],
])

/** Disconnect reasons that mean "you may not log in". @see RFC 4253, section 11.1; OpenSSH uses 2 for too many tries */
const LOGIN_DISCONNECTS = new Set([2, 7, 13, 14, 15])

/** What became of the credentials: a list for people, and whether the host has refused one that it was shown. */
type Tried = { readonly tried: string; readonly isRefused: boolean }

/** Why a connection that was not ready yet failed. */
export function explainDialError(error: Error, phase: DialPhase, login: Tried): Failure {
  const { level, code } = fieldsOf(error)
  const message = printable(error.message)
  if (level === 'client-socket') return explainSocketError(typeof code === 'string' ? code : '', message, phase)
  if (level === 'client-authentication') return notAccepted(login)
  if (phase === 'the log-in' && typeof code === 'number' && LOGIN_DISCONNECTS.has(code)) {
    const isOfManyKeys = message.includes('Too many')
    const hint = isOfManyKeys ? '; an identity_file that names a public key shows the host no other of an agent' : ''
    return failure('auth_failed', `the host ended the log-in: ${message}; ${login.tried}${hint}`)
  }
  if (message === 'Connection lost before handshake') return closedEarly('the SSH handshake')
  const hasNothingInCommon = level === 'handshake' && message.includes('no matching')
  return failure('kex_failed', `${message}, while waiting for ${phase}`, { isRetryable: !hasNothingInCommon })
}

/** Why a log-in has come to its end; it is the host's fault when it has refused something. */
export function notAccepted({ tried, isRefused }: Tried): Failure {
  const what = isRefused ? 'no credential was accepted' : 'no credential could be offered'
  return failure('auth_failed', `${what}: ${tried}`, { isHostsFault: isRefused })
}

/** Why somebody who waited no longer got no connection, by what was waited for; `more` stands behind it. */
export function noAnswer(phase: DialPhase, more = ''): Failure {
  const reason = phase === 'the look-up of its address' ? 'dns_timeout' : 'conn_timeout'
  const whose = phase === 'the SSH agent' ? { isHostsFault: false } : {}
  return failure(reason, `no answer in time, while waiting for ${phase}${more}`, whose)
}

/**
 * Why a connection that was closed before it was ready, without any error, failed. Before the handshake that is no fault
 * of the host: most often it is at its limit of connections (MaxStartups), to which anybody's runs may have brought it.
 */
export function closedEarly(phase: DialPhase): Failure {
  const detail = `the host closed the connection instead of ${phase}`
  if (phase !== 'the SSH handshake') return failure('conn_refused', detail)
  const hint = 'it may be at its limit of connections (MaxStartups), or no SSH server at all'
  return failure('conn_refused', `${detail}; ${hint}`, { isHostsFault: false })
}

function explainSocketError(code: string, message: string, phase: DialPhase): Failure {
  // A host at its limit closes without having read our greeting.
  if (phase === 'the SSH handshake' && (code === 'ECONNRESET' || code === 'EPIPE')) return closedEarly(phase)
  if (code === 'ETIMEDOUT') return failure('conn_timeout', `no answer: ${code} in ${phase}`)
  if (LOCAL_CODES.has(code)) {
    return failure('conn_refused', `this worker could not get there: ${code}: ${message}`, { isHostsFault: false })
  }
  const what = code === 'ECONNREFUSED' ? 'nothing listens there' : message
  return failure('conn_refused', `${code || 'the connection failed'}, while waiting for ${phase}: ${what}`)
}
