/**
 * OpenSSH's known_hosts: patterns, negation, `[host]:port`, hashed names, `@revoked`, `@cert-authority`.
 *
 * Says what the files know about a key; host-verification.ts acts on it. Writes nothing: enrolling a key is an explicit
 * act of a person. A malformed line is skipped, as ssh does.
 * @see sshd(8), SSH_KNOWN_HOSTS FILE FORMAT
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { MusterError } from '@muster/contract'
import { keepFiles } from './kept-files.ts'

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

/**
 * Where the known hosts come from. Read again for each connection; `files` are those that a host has instead of the
 * user's own.
 */
export type KnownHostsSource = { read(files?: readonly string[]): Promise<KnownHosts> }

type Entry = { readonly marker: string | undefined; readonly type: string; readonly key: Buffer }
type PatternEntry = Entry & { readonly matches: (name: string) => boolean }

/** The name a host is listed under: `[address]:port` for any port but 22. */
export function knownHostsName(address: string, port: number): string {
  return port === 22 ? address.toLowerCase() : `[${address.toLowerCase()}]:${port}`
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

/** Known hosts from a text that does not change. */
export function fixedKnownHosts(text: string, name = 'the given known hosts'): KnownHostsSource {
  const known = parseKnownHosts(text, [name])
  return { read: async () => known }
}

/** How files of known hosts are read that a host has for itself. */
export type OwnFiles = {
  /** The file in place of which they are read. */
  readonly instead: string
  /** Reads one; undefined when it is not there. Throws where it is not to be trusted. */
  readonly readText: (file: string) => Promise<string | undefined>
}

/**
 * Known hosts from files, read again when one of them has changed. A file that cannot be read counts as empty, as for
 * ssh; `files` says so, and every host that is listed only there is refused.
 */
export function loadKnownHosts(files: readonly string[], own?: OwnFiles): KnownHostsSource {
  const kept = new Map<string, () => Promise<KnownHosts>>()
  const readPlain = (file: string) => readFile(file, 'utf8')
  return {
    read: (others = []) => {
      const name = others.join('\0')
      const asked = others.length === 0 ? files : files.filter((file) => file !== own?.instead)
      const all = [...others, ...asked]
      const readers = new Map(others.map((file) => [file, own?.readText ?? readPlain]))
      const read =
        kept.get(name) ?? keepFiles(all, () => readFiles(all, (file) => (readers.get(file) ?? readPlain)(file)))
      kept.set(name, read)
      return read()
    },
  }
}

async function readFiles(
  files: readonly string[],
  read: (file: string) => Promise<string | undefined>,
): Promise<KnownHosts> {
  const contents = await Promise.all(
    files.map(async (file) => {
      const absent = { text: '', name: `${file} (does not exist)` }
      try {
        const text = await read(file)
        return text === undefined ? absent : { text, name: file }
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
        if (code === 'ENOENT') return absent
        // One that is not to be trusted says so itself.
        const why = error instanceof MusterError ? error.message : `${file} (cannot be read: ${code})`
        return { text: '', name: why }
      }
    }),
  )
  return parseKnownHosts(
    contents.map(({ text }) => text).join('\n'),
    contents.map(({ name }) => name),
  )
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
    const found = createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest()
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
