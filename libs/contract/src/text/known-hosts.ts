/**
 * OpenSSH's known_hosts: patterns, negation, `[host]:port`, hashed names, `@revoked`, `@cert-authority`.
 *
 * Says what a text knows about a key: a worker acts on it before it logs in, and `muster trust` before it adds a line.
 * A malformed line is skipped, as ssh does.
 * @see sshd(8), SSH_KNOWN_HOSTS FILE FORMAT
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

/** The port of SSH unless another is given. */
export const SSH_PORT = 22

/** How a host's key stands in the files. `certificate_only`: only an authority is listed for the host. */
type HostKeyStanding = 'known' | 'unknown' | 'changed' | 'revoked' | 'certificate_only'

/** The known hosts at one moment. */
export type KnownHosts = {
  /** For people: the files that were read, and why a file could not be read. */
  readonly files: readonly string[]
  /** How this key stands for this name, which comes from {@link knownHostsName}. */
  check(name: string, key: Buffer): HostKeyStanding
  /** The entries listed for the name, in the order of the files: marker, type and key of each. */
  listed(name: string): readonly string[]
  /** Types of the keys listed for the name, in the order of the files. */
  knownTypes(name: string): readonly string[]
}

type Entry = { readonly marker: string | undefined; readonly type: string; readonly key: Buffer }
type PatternEntry = Entry & { readonly matches: (name: string) => boolean }

/** The files of the setting MUSTER_KNOWN_HOSTS, separated by ":", with `~` for `home`; the usual ones without it. */
export function knownHostsFiles(setting: string | undefined, home: string): readonly [string, ...string[]] {
  const [first = '', ...others] = (setting ?? '~/.ssh/known_hosts:/etc/ssh/ssh_known_hosts')
    .split(':')
    .map((file) => file.replace(/^~(?=\/)/, home))
  return [first, ...others]
}

/** The name a host is listed under: `[address]:port` for any port but 22. */
export function knownHostsName(address: string, port: number): string {
  return port === SSH_PORT ? address.toLowerCase() : `[${address.toLowerCase()}]:${port}`
}

/** The names to look a host up by: the first, then those that count only if nothing is listed for the first. */
export function knownHostsNames(host: { address: string; port: number; hostKeyAlias?: string }): string[] {
  const { address, port, hostKeyAlias } = host
  if (hostKeyAlias !== undefined) return [hostKeyAlias.toLowerCase()]
  return [...new Set([knownHostsName(address, port), knownHostsName(address, SSH_PORT)])]
}

/** A key's fingerprint, as OpenSSH writes it: `SHA256:…`. */
export function fingerprintOf(key: Buffer): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replaceAll('=', '')}`
}

/** A name as known_hosts hide it, where `HashKnownHosts` is on. */
export function hashedName(name: string, salt: Buffer): string {
  return `|1|${salt.toString('base64')}|${hashOf(name, salt).toString('base64')}`
}

function hashOf(name: string, salt: Buffer): Buffer {
  return createHmac('sha1', salt).update(name).digest()
}

/** The known hosts in a text. `files` is only for messages. */
export function parseKnownHosts(text: string, files: readonly string[] = []): KnownHosts {
  const patterns = text.split('\n').flatMap(parseLine)
  const found = new Map<string, readonly Entry[]>()
  // Cached by name: a hashed file costs one HMAC per line, and the same hosts are looked up again and again.
  const entriesFor = (name: string): readonly Entry[] => {
    const known = found.get(name) ?? patterns.filter((entry) => entry.matches(name))
    found.set(name, known)
    return known
  }
  return {
    files,
    check: (name, key) => {
      const entries = entriesFor(name)
      const same = entries.filter((entry) => entry.key.equals(key))
      if (same.some((entry) => entry.marker === '@revoked')) return 'revoked'
      if (same.some((entry) => entry.marker === undefined)) return 'known'
      if (entries.some((entry) => entry.marker === undefined)) return 'changed'
      return entries.some((entry) => entry.marker === '@cert-authority') ? 'certificate_only' : 'unknown'
    },
    listed: (name) =>
      entriesFor(name).map(({ marker = '', type, key }) => `${marker} ${type} ${key.toString('base64')}`),
    knownTypes: (name) => {
      const plain = entriesFor(name).filter((entry) => entry.marker === undefined)
      return [...new Set(plain.map((entry) => entry.type))]
    },
  }
}

function parseLine(line: string): PatternEntry[] {
  const words = line.trim().split(/[ \t]+/)
  const marker = words[0]?.startsWith('@') ? words.shift() : undefined
  if (marker !== undefined && marker !== '@revoked' && marker !== '@cert-authority') return []
  const [names = '', type, key] = words
  if (type === undefined || key === undefined || names.startsWith('#')) return []
  const matches = names.startsWith('|1|') ? matchHashed(names) : matchPatterns(names)
  return [{ marker, type, key: Buffer.from(key, 'base64'), matches }]
}

function matchHashed(hashed: string): (name: string) => boolean {
  const [, , salt = '', mac = ''] = hashed.split('|')
  const wanted = Buffer.from(mac, 'base64')
  return (name) => {
    const found = hashOf(name, Buffer.from(salt, 'base64'))
    return found.length === wanted.length && timingSafeEqual(found, wanted)
  }
}

function matchPatterns(list: string): (name: string) => boolean {
  const patterns = list.split(',').map((pattern) => {
    const isNegated = pattern.startsWith('!')
    return { isNegated, matches: matchPattern(isNegated ? pattern.slice(1) : pattern) }
  })
  return (name) => {
    const hits = patterns.filter((pattern) => pattern.matches(name))
    return hits.length > 0 && !hits.some((hit) => hit.isNegated)
  }
}

function matchPattern(pattern: string): (name: string) => boolean {
  const wanted = pattern.toLowerCase()
  if (!/[*?]/.test(wanted)) return (name) => name === wanted
  const source = wanted
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll(/\*+/g, '.*')
    .replaceAll('?', '.')
  const expression = new RegExp(`^${source}$`)
  return (name) => expression.test(name)
}
