/**
 * Why a host was not reached, in Muster's words: errors of ssh2 and of the socket become a reason and a text for
 * people.
 *
 * Measured against OpenSSH; ssh2 gives three different fields (level, code, reason) and sometimes none.
 */
import { type Failure, failure, fieldsOf, printable } from '../verdict/failure.ts'

/** How far a connection got. Each phase is named after what it waits for. */
export type DialPhase =
  | 'the look-up of its address'
  | 'the TCP connection'
  | 'the SSH handshake'
  | 'the log-in'
  /** In the middle of the log-in. The agent is on our side, so its silence is not the host's fault. */
  | 'the SSH agent'

/** Codes of this worker's own system, which has not asked the host or found a way to it. */
const LOCAL_CODES = new Set([
  'ENETUNREACH',
  'EHOSTUNREACH',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'EAFNOSUPPORT',
  'EINVAL',
  'EACCES',
  'EPERM',
  'EMFILE',
  'ENFILE',
  'ENOBUFS',
  'ENOMEM',
])

/** Disconnect reasons that mean "you may not log in". @see RFC 4253, section 11.1; OpenSSH uses 2 for too many tries */
const LOGIN_DISCONNECTS = new Set([2, 7, 13, 14, 15])

/** The results of the credentials: a list for people, and whether the host refused one that it was shown. */
type Tried = { readonly tried: string; readonly isRefused: boolean }

/** Why a connection failed before it was ready. */
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

/** Why a log-in failed. It is the host's fault if the host refused something. */
export function notAccepted({ tried, isRefused }: Tried): Failure {
  const what = isRefused ? 'no credential was accepted' : 'no credential could be offered'
  return failure('auth_failed', `${what}: ${tried}`, { isHostsFault: isRefused })
}

/** Why there was no connection in time, by the phase that was not over. `more` is appended. */
export function noAnswer(phase: DialPhase, more = ''): Failure {
  const reason = phase === 'the look-up of its address' ? 'dns_timeout' : 'conn_timeout'
  const whose = phase === 'the SSH agent' ? { isHostsFault: false } : {}
  return failure(reason, `no answer in time, while waiting for ${phase}${more}`, whose)
}

/**
 * Why a connection failed that was closed before it was ready, without an error. Before the handshake that is not the
 * host's fault: most often it is at its limit of connections (MaxStartups), which anybody's runs may have used up.
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
