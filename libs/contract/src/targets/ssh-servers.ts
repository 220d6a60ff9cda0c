/**
 * The text of `SSH_SERVERS`: `name:host:user[:password],…`.
 *
 * The password is everything after the third colon, so it may contain ":" but not ",".
 */

/** The host may be an IPv6 address in brackets. */
const ENTRY = /^([^:]*):(\s*\[[^\]]*\]\s*|[^:[\]]*):([^:]*)(?::(.*))?$/s

/** One entry, as it was given; `password` is empty when there is none. */
export type SshServersEntry = {
  readonly name: string
  readonly address: string
  readonly user: string
  readonly password: string
}

/** One result for each place between commas: undefined for an empty one. */
export function sshServersEntries(text: string): (SshServersEntry | 'malformed' | undefined)[] {
  return text.split(',').map((part) => {
    if (part.trim() === '') return undefined
    const match = ENTRY.exec(part.trim())
    if (match === null) return 'malformed'
    const [, name = '', host = '', user = '', password = ''] = match
    const address = host.replace(/^\s*\[(.*)\]\s*$/, '$1').trim()
    return { name: name.trim(), address, user: user.trim(), password }
  })
}

/**
 * The same hosts without their passwords, for a process that needs none. What is malformed, such as the rest of a
 * password with a comma in it, becomes a "?": it stays a mistake at the same place.
 */
export function withoutPasswords(text: string): string {
  return sshServersEntries(text)
    .map((entry) => {
      if (entry === undefined) return ''
      if (entry === 'malformed') return '?'
      const { name, address, user } = entry
      return `${name}:${address.includes(':') ? `[${address}]` : address}:${user}`
    })
    .join(',')
}
