/**
 * Known hosts from files, read again when they change: a key that a person adds counts for the next connection.
 *
 * Writes nothing: enrolling a key is an explicit act of a person.
 */
import { readFile } from 'node:fs/promises'
import { type KnownHosts, MusterError, parseKnownHosts } from '@muster/contract'
import { keepFiles } from './kept-files.ts'

/**
 * Where the known hosts come from. Read again for each connection; `files` are those that a host has instead of the
 * user's own.
 */
export type KnownHostsSource = { read(files?: readonly string[]): Promise<KnownHosts> }

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
