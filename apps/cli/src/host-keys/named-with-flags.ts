/** Targets of `muster trust` with `-l` and `-p` in their place: `-l root -p 2222 10.0.0.5` is `root@10.0.0.5:2222`. */
import { type Connect, MusterError, parseRequestHost, plainRequestAddress, writeRequestHost } from '@muster/contract'

/** A comma that is not within a range, labels or parentheses. */
const BETWEEN = /,(?![^[]*\])(?![^{]*\})(?![^(]*\))/

/**
 * The target expression, in which hosts have the user and port of the flags where they name none. Which key a host has
 * depends on neither, so a host of the inventory may have them, too.
 * @throws {MusterError} invalid_request when no host takes a flag; invalid_target for a host that cannot be
 */
export function withFlags(words: readonly string[], { user, port }: Pick<Connect, 'user' | 'port'>): string {
  const targets = words.join(',')
  if (user === undefined && port === undefined) return targets
  const terms = targets.split(BETWEEN).map((term) => term.trim())
  const named = terms.map((term) => ofHost(term, user, port))
  if (named.some((name) => name !== undefined)) return terms.map((term, i) => named[i] ?? term).join(',')
  const flag = user === undefined ? '--port' : '--login-user'
  throw new MusterError('invalid_request', `${flag} is for hosts that are named by their address: ${targets} has none`)
}

/** The host of one term with user and port; undefined for what is no single host, or has no user. */
function ofHost(term: string, user: string | undefined, port: number | undefined): string | undefined {
  const address = plainRequestAddress(term.replace(/^\[(.*)\]$/, '$1'))
  const host = address === undefined ? parseRequestHost(term) : { address }
  if (host === undefined) return undefined
  const given = { ...(user === undefined ? {} : { user }), ...(port === undefined ? {} : { port }), ...host }
  return given.user === undefined ? undefined : writeRequestHost({ ...given, user: given.user })
}
