/** Paths on hosts: makes safe arguments of them, and text of names that may hold any bytes. */
import { isUtf8 } from 'node:buffer'
import { MusterError } from '@muster/contract'

/** Longest name of an entry, in bytes. Most file systems have 255, some have more. */
export const NAME_LIMIT_BYTES = 1_024

/**
 * The path as an argument that no program mistakes for an option, an operator or an expression: it begins with "/" or
 * "./". A leading "~" is the home directory, where commands start; a file of that name is "./~".
 */
export function pathArgument(path: string): string {
  if (path === '~') return './'
  if (path.startsWith('~/')) return `./${path.slice(2)}`
  return /^\.?\//.test(path) ? path : `./${path}`
}

/** A name as text: valid UTF-8 as it is, other bytes as `\xff`. */
export function nameText(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString('utf8')
  let text = ''
  for (let at = 0; at < bytes.length; ) {
    const length = [1, 2, 3, 4].find((some) => at + some <= bytes.length && isUtf8(bytes.subarray(at, at + some)))
    const part = bytes.subarray(at, at + (length ?? 1))
    text += length === undefined ? `\\x${part.toString('hex')}` : part.toString('utf8')
    at += part.length
  }
  return text
}

/** The `after` with which a list continues behind this name, whatever bytes it has. */
export function writeAfter(name: Buffer): string {
  return name.toString('base64url')
}

/**
 * The name that an `after` stands for.
 * @throws {MusterError} invalid_request for one that no list gave out
 */
export function readAfter(after: string): Buffer {
  const name = Buffer.from(after, 'base64url')
  const isName = name.length > 0 && name.length <= NAME_LIMIT_BYTES && !name.includes(0) && !name.includes('/')
  if (isName && writeAfter(name) === after) return name
  throw new MusterError('invalid_request', `after: ${JSON.stringify(after)} is not the next_after of a list`, {
    details: { field: 'after' },
  })
}

/** Bytes as text that `printf %b` turns back into them. Holds only letters, digits and "\\". */
export function printfText(bytes: Buffer): string {
  return Array.from(bytes, (byte) => {
    const character = String.fromCharCode(byte)
    return /[A-Za-z0-9]/.test(character) ? character : `\\0${byte.toString(8).padStart(3, '0')}`
  }).join('')
}
