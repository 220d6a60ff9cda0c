/**
 * Private keys, made usable once: ssh2 would parse the key anew for each connection, and an encrypted OpenSSH key
 * blocks the process for 0.4 to 0.9 s each time.
 *
 * Reads no files. Keys ssh2 cannot read are converted where node:crypto can (PKCS#8); for the others the problem is
 * told with what to do, never with any part of the key.
 */
import { createHash, createPrivateKey, type KeyObject, randomBytes } from 'node:crypto'
import ssh2, { type ParsedKey } from 'ssh2'

/** A key to log in with, or why it cannot be used. */
export type UsableKey = { readonly key: ParsedKey } | { readonly problem: string }

/** More keys than any worker has; only bounds what a rotation of keys leaves behind. */
const REMEMBERED_KEYS = 256

/**
 * Keys by the digest of their text and passphrase. State of the module on purpose: it is only a memory of a pure
 * function, and two connections must not pay twice.
 */
const remembered = new Map<string, UsableKey>()

/** The key in this text (OpenSSH, PEM, PKCS#8, or PuTTY's format 2). The same text is read only once. */
export function readPrivateKey(pem: Buffer | string, passphrase: string | undefined): UsableKey {
  const secret = passphrase === undefined ? 'none' : `given ${passphrase}`
  const digest = createHash('sha256').update(secret).update('\0').update(pem).digest('hex')
  const known = remembered.get(digest)
  if (known !== undefined) return known
  const usable = parse(pem.toString(), passphrase)
  const oldest = remembered.size < REMEMBERED_KEYS ? undefined : remembered.keys().next().value
  if (oldest !== undefined) remembered.delete(oldest)
  remembered.set(digest, usable)
  return usable
}

function parse(text: string, passphrase: string | undefined): UsableKey {
  if (text.startsWith('PuTTY-User-Key-File-3')) {
    return { problem: 'PuTTY format 3 is not supported; convert it: puttygen KEY -O private-openssh -o NEWKEY' }
  }
  try {
    const isPkcs8 = /^-----BEGIN (ENCRYPTED )?PRIVATE KEY-----/m.test(text)
    const pem = isPkcs8 ? fromPkcs8(createPrivateKey({ key: text, format: 'pem', passphrase })) : text
    // Undefined, against its type, when the file holds no key.
    const parsed: ParsedKey | Error | undefined = ssh2.utils.parseKey(pem, isPkcs8 ? undefined : passphrase)
    return toUsable(parsed, text)
  } catch (error) {
    // Only node:crypto throws here, and OpenSSL's texts hold nothing of the key.
    const why = error instanceof Error ? error.message : String(error)
    return { problem: passphrase === undefined ? `${why} (no passphrase was given)` : why }
  }
}

function toUsable(parsed: ParsedKey | Error | undefined, text: string): UsableKey {
  if (parsed === undefined) return { problem: 'the file holds no key' }
  if (parsed instanceof Error) {
    const contents = Buffer.from(text.replaceAll(/-----[^-]*-----/g, ''), 'base64').toString('latin1')
    if (/sk-(ssh|ecdsa)/.test(contents))
      return { problem: 'a key on a security key (sk-*) needs a person to touch it: use another key' }
    return { problem: parsed.message }
  }
  if (!parsed.isPrivateKey()) return { problem: 'this is a public key; name the private one' }
  return { key: parsed }
}

/** A PKCS#8 key in a format ssh2 reads. */
function fromPkcs8(key: KeyObject): string {
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return key.export({ type: 'pkcs1', format: 'pem' }).toString()
    case 'ec':
      return key.export({ type: 'sec1', format: 'pem' }).toString()
    case 'ed25519':
      return toOpenSshEd25519(key)
    default:
      throw new Error(`keys of type ${key.asymmetricKeyType} are not supported: use ed25519, ECDSA or RSA`)
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
    Buffer.from('openssh-key-v1\0'),
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

function sshString(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}
