/**
 * Parses private keys once: ssh2 would parse a key again for each connection, and an encrypted OpenSSH key blocks the
 * process for 0.4 to 0.9 s each time.
 *
 * Reads no files. Keys that ssh2 cannot read are converted where node:crypto can (PKCS#8); for the others the problem
 * says what to do, and holds no part of the key.
 */
import { createHash, createPrivateKey, type KeyObject, randomBytes } from 'node:crypto'
import ssh2, { type ParsedKey } from 'ssh2'
import { type KeyText, readKeyText } from './key-text.ts'
import { sshString } from './wire.ts'

/** A key to log in with, or why it cannot be used, with its public half where that can be read. */
export type UsableKey = { readonly key: ParsedKey } | { readonly problem: string; readonly publicKey?: ParsedKey }

/** A key file. */
export type KeyFile = {
  readonly pem: Buffer | string
  /** Its name, for problems. */
  readonly source: string
  /** Absent when it is not encrypted. */
  readonly passphrase?: string
  /** How a missing passphrase is given. Absent: as an inventory does. */
  readonly passphraseAdvice?: string
}

/** How an OpenSSH key begins. */
const MAGIC = Buffer.from('openssh-key-v1\0')

/** More keys than any worker has. Bounds what a rotation of keys leaves behind. */
const REMEMBERED_KEYS = 256

/**
 * Keys by the digest of their text and passphrase. Module state on purpose: it only caches a pure function, and two
 * connections must not pay twice.
 */
const remembered = new Map<string, UsableKey>()

/** The key in this file (OpenSSH, PEM, PKCS#8, or an RSA key of PuTTY's format 2). The same text is read only once. */
export function readPrivateKey(file: KeyFile): UsableKey {
  const secret = file.passphrase === undefined ? 'none' : `given ${file.passphrase}`
  const told = [file.source, file.passphraseAdvice ?? '', secret]
  const digest = createHash('sha256').update(JSON.stringify(told)).update(file.pem).digest('hex')
  const known = remembered.get(digest)
  if (known !== undefined) return known
  const usable = parse(file)
  const oldest = remembered.size < REMEMBERED_KEYS ? undefined : remembered.keys().next().value
  if (oldest !== undefined) remembered.delete(oldest)
  remembered.set(digest, usable)
  return usable
}

/** The key in the text of a `.pub` file; undefined when there is none. */
export function readPublicKey(text: Buffer | string): ParsedKey | undefined {
  const found = readKeyText(text, '')
  if (found.kind !== 'public') return undefined
  const parsed = ssh2.utils.parseKey(found.text)
  return parsed instanceof Error ? undefined : parsed
}

/** An ed25519 key of node:crypto's, as ssh2 has keys. It is not remembered. */
export function parsedEd25519(key: KeyObject): ParsedKey {
  const made = parsed(toOpenSshEd25519(key), undefined)
  if (made === undefined) throw new Error('ssh2 does not read the key that was made for it')
  return made
}

const ADVICE = 'name passphrase_file or passphrase_env beside it'

function parse({ pem, source, passphrase, passphraseAdvice = ADVICE }: KeyFile): UsableKey {
  const text = readKeyText(pem, source)
  if (text.kind === 'neither') return { problem: text.problem }
  if (text.kind === 'public') {
    const publicKey = readPublicKey(pem)
    return publicKey === undefined
      ? { problem: 'this is a public key of a type that is not supported: use ed25519, ECDSA or RSA' }
      : { problem: 'this is a public key; name the private one', publicKey }
  }
  const container = text.label === 'OPENSSH PRIVATE KEY' ? readContainer(text.text) : undefined
  const type = text.label === 'DSA PRIVATE KEY' ? 'ssh-dss' : (container?.type ?? '')
  if (type.startsWith('sk-')) {
    return { problem: 'a key on a security key (sk-*) needs a person to touch it: use another key' }
  }
  if (type === 'ssh-dss')
    return { problem: 'a DSA key, which hosts have not taken for years: use ed25519, ECDSA or RSA' }
  const isEncrypted = text.isEncrypted || container?.isEncrypted === true
  const publicKey = container && parsedPublic(container.publicKey)
  const withPublic = (problem: string) => ({ problem, ...(publicKey && { publicKey }) })
  if (isEncrypted && passphrase === undefined) {
    return withPublic(`it is encrypted, and no passphrase is given: ${passphraseAdvice}`)
  }
  const key = parsePrivate(text, passphrase)
  if (typeof key === 'string') return withPublic(key)
  if (key === undefined) {
    const damaged = 'its content is damaged; "ssh-keygen -y -f" with the file says whether it can be read at all'
    return withPublic(isEncrypted ? `the passphrase does not open it, or ${damaged}` : damaged)
  }
  const isOwnHalf = container === undefined || container.publicKey.equals(key.getPublicSSH())
  if (isOwnHalf && belongTogether(key)) return { key }
  return { problem: 'its public half belongs to another key: take the file from a backup, or make a new key' }
}

/** The key; a problem with its type; or undefined when it cannot be read. */
function parsePrivate(
  { label, text }: Extract<KeyText, { kind: 'private' }>,
  passphrase: string | undefined,
): ParsedKey | string | undefined {
  try {
    if (label !== 'PRIVATE KEY' && label !== 'ENCRYPTED PRIVATE KEY') return parsed(text, passphrase)
    const key = createPrivateKey({ key: text, format: 'pem', passphrase })
    const pem = fromPkcs8(key)
    if (pem === undefined) return `keys of type ${key.asymmetricKeyType} are not supported: use ed25519, ECDSA or RSA`
    return parsed(pem, undefined)
  } catch {
    // OpenSSL's message helps nobody.
    return undefined
  }
}

function parsed(pem: string, passphrase: string | undefined): ParsedKey | undefined {
  // Undefined, against its type, when the file holds no key.
  const key: ParsedKey | Error | undefined = ssh2.utils.parseKey(pem, passphrase)
  return key === undefined || key instanceof Error || !key.isPrivateKey() ? undefined : key
}

function parsedPublic(blob: Buffer): ParsedKey | undefined {
  const key = ssh2.utils.parseKey(blob)
  return key instanceof Error ? undefined : key
}

function belongTogether(key: ParsedKey): boolean {
  const sample = Buffer.from('muster')
  const hash = key.type === 'ssh-rsa' ? 'sha256' : undefined
  const signature = key.sign(sample, hash)
  return Buffer.isBuffer(signature) && key.verify(sample, signature, hash) === true
}

/** The unencrypted part of an OpenSSH key. @see https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.key */
function readContainer(text: string): { isEncrypted: boolean; publicKey: Buffer; type: string } | undefined {
  const bytes = Buffer.from(text.replaceAll(/-----[^-]*-----/g, ''), 'base64')
  let at = MAGIC.length
  const next = () => {
    if (at + 4 > bytes.length) return Buffer.alloc(0)
    const end = at + 4 + bytes.readUInt32BE(at)
    const content = bytes.subarray(at + 4, end)
    at = end
    return content
  }
  if (!bytes.subarray(0, at).equals(MAGIC)) return undefined
  const [cipher] = [next(), next(), next()]
  at += 4
  const publicKey = next()
  const typeBytes = publicKey.length < 4 ? 0 : publicKey.readUInt32BE(0)
  const type = publicKey.toString('latin1', 4, 4 + Math.min(typeBytes, 64))
  return { isEncrypted: cipher?.toString() !== 'none', publicKey, type }
}

/** A PKCS#8 key in a format ssh2 reads; undefined for a type that SSH does not use. */
function fromPkcs8(key: KeyObject): string | undefined {
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return key.export({ type: 'pkcs1', format: 'pem' }).toString()
    case 'ec':
      return key.export({ type: 'sec1', format: 'pem' }).toString()
    case 'ed25519':
      return toOpenSshEd25519(key)
    default:
      return undefined
  }
}

/** @see https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.key */
function toOpenSshEd25519(key: KeyObject): string {
  const { d = '', x = '' } = key.export({ format: 'jwk' })
  const publicKey = Buffer.from(x, 'base64url')
  const privateKey = Buffer.concat([Buffer.from(d, 'base64url'), publicKey])
  const type = sshString('ssh-ed25519')
  const check = randomBytes(4)
  const secret = Buffer.concat([check, check, type, sshString(publicKey), sshString(privateKey), sshString('')])
  const paddingBytes = (8 - (secret.length % 8)) % 8
  const padding = Buffer.from([1, 2, 3, 4, 5, 6, 7].slice(0, paddingBytes))
  const parts = [
    MAGIC,
    sshString('none'),
    sshString('none'),
    sshString(''),
    Buffer.from([0, 0, 0, 1]),
    sshString(Buffer.concat([type, sshString(publicKey)])),
    sshString(Buffer.concat([secret, padding])),
  ]
  const base64 = Buffer.concat(parts).toString('base64')
  const lines = base64.match(/.{1,70}/g) ?? []
  return ['-----BEGIN OPENSSH PRIVATE KEY-----', ...lines, '-----END OPENSSH PRIVATE KEY-----', ''].join('\n')
}
