/**
 * The person's own known_hosts: reading what they say about a host, and appending lines. No line is ever changed or
 * removed.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, open, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { hashedName, type KnownHosts, MusterError, parseKnownHosts } from '@muster/contract'
import type { ShownKey } from './scan-host.ts'

const SALT_BYTES = 20
const NEWLINE = 0x0a

/**
 * What the files say now. The first is the one to write to.
 * @throws {MusterError} invalid_config when that one cannot be read; any other then counts as empty, as for workers
 */
export async function readKnownHosts([first, ...others]: readonly [string, ...string[]]): Promise<KnownHosts> {
  const own = await readFile(first, 'utf8').catch((error: unknown) => {
    if (isMissing(error)) return ''
    throw notUsable(first, 'read', error)
  })
  const texts = await Promise.all(others.map((file) => readFile(file, 'utf8').catch(() => '')))
  return parseKnownHosts([own, ...texts].join('\n'), [first, ...others])
}

/** The lines that list these keys under this name. */
export function linesFor(name: string, keys: readonly ShownKey[]): string[] {
  return keys.map(({ type, key }) => `${name} ${type} ${key.toString('base64')}`)
}

/**
 * Appends the keys in one write, and makes file and directory, for their owner alone, where they are missing. The name
 * is hashed where the file has hashed names.
 * @throws {MusterError} invalid_config when that cannot be done
 */
export async function appendKeys(file: string, name: string, keys: readonly ShownKey[]): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 })
    const handle = await open(file, 'a+', 0o600)
    try {
      const text = await handle.readFile()
      const isHashed = /^(@\S+[ \t]+)?\|1\|/m.test(text.toString('latin1'))
      const lines = isHashed ? keys.flatMap((key) => linesFor(hashed(name), [key])) : linesFor(name, keys)
      const start = text.length > 0 && text.at(-1) !== NEWLINE ? '\n' : ''
      await handle.appendFile(`${start}${lines.join('\n')}\n`)
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw notUsable(file, 'written', error)
  }
}

function hashed(name: string): string {
  return hashedName(name, randomBytes(SALT_BYTES))
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

function notUsable(file: string, what: 'read' | 'written', error: unknown): MusterError {
  const why = error instanceof Error && 'code' in error ? String(error.code) : String(error)
  const advice = 'MUSTER_KNOWN_HOSTS names another file'
  return new MusterError('invalid_config', `${file} cannot be ${what} (${why}), so nothing was added; ${advice}`, {
    cause: error,
  })
}
