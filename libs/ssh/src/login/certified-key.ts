/**
 * Logging in with a certificate, which ssh2 cannot do by itself: it would name the type of the certificate in the
 * signature, where hosts want that of the key. So its request is written here, over its own fields; its version is
 * pinned, and should these fields be renamed, this throws and no connection is made.
 *
 * Everything about certificates that depends on the inside of ssh2 is in this file.
 */
import type { Client, ParsedKey } from 'ssh2'
import type { Certificate } from './certificate.ts'
import { inSshForm, sshString } from './wire.ts'

/** What ssh2 shows a host, and what signs: a key with its certificate. */
export type CertifiedKey = {
  /** For ssh2: it has the name and the bytes of the certificate, and signs as the key. */
  readonly shown: ParsedKey
  readonly plain: ParsedKey
}

/** SSH_MSG_USERAUTH_REQUEST; RFC 4252. */
const REQUEST = 50
const SERVICE = 'ssh-connection'

/** The names in a request of these keys: of the certificate, and of its signatures. */
const SIGNATURE_OF = Symbol('signature algorithm')

/** The key with its certificate. RSA signs with SHA-512, never with SHA-1. */
export function certifiedKey(plain: ParsedKey, { blob, keyType }: Certificate): CertifiedKey {
  const signature = keyType === 'ssh-rsa' ? 'rsa-sha2-512' : keyType
  const shown: ParsedKey = Object.create(plain)
  Object.defineProperties(shown, {
    type: { value: `${signature}-cert-v01@openssh.com` },
    getPublicSSH: { value: () => blob },
    sign: { value: (data: Buffer) => plain.sign(data, hashOf(plain)) },
    [SIGNATURE_OF]: { value: signature },
  })
  return { shown, plain }
}

/** The hash that signs with this key behind a certificate; undefined where the type of the key decides. */
export function hashOf({ type }: ParsedKey): 'sha512' | undefined {
  return type === 'ssh-rsa' ? 'sha512' : undefined
}

/** Lets a client log in with certified keys. ssh2 must have begun to connect. */
export function takeCertificates(client: Client): void {
  const protocol = object(Reflect.get(client, '_protocol'))
  const original = method(protocol, 'authPK')
  Reflect.set(protocol, 'authPK', (user: string, key: unknown, ...rest: unknown[]): void => {
    const signature: unknown = typeof key === 'object' && key !== null ? Reflect.get(key, SIGNATURE_OF) : undefined
    if (typeof signature !== 'string' || !isKey(key)) {
      original.call(protocol, user, key, ...rest)
      return
    }
    const sign = rest.findLast((each) => typeof each === 'function')
    const request = (isSigned: boolean) =>
      Buffer.concat([
        Buffer.from([REQUEST]),
        ...[user, SERVICE, 'publickey'].map(sshString),
        Buffer.from([isSigned ? 1 : 0]),
        sshString(key.type),
        sshString(key.getPublicSSH()),
      ])
    if (typeof sign !== 'function') {
      send(protocol, request(false))
      return
    }
    const signed = request(true)
    const session = Reflect.get(object(Reflect.get(protocol, '_kex')), 'sessionID')
    if (!Buffer.isBuffer(session)) throw changed('the session ID')
    sign(Buffer.concat([sshString(session), signed]), (bytes: Buffer) => {
      const proof = Buffer.concat([sshString(signature), sshString(inSshForm(bytes, signature))])
      send(protocol, Buffer.concat([signed, sshString(proof)]))
    })
  })
}

/** Sends a request as ssh2's own authPK does. */
function send(protocol: object, request: Buffer): void {
  const write = object(Reflect.get(object(Reflect.get(protocol, '_packetRW')), 'write'))
  const cipher = object(Reflect.get(protocol, '_cipher'))
  const pending: unknown = Reflect.get(protocol, '_authsQueue')
  const packet: unknown = method(write, 'alloc').call(write, request.length)
  const start: unknown = Reflect.get(write, 'allocStart')
  if (!(packet instanceof Uint8Array) || typeof start !== 'number' || !Array.isArray(pending)) throw changed('a packet')
  packet.set(request, start)
  // The answer of the host is for this method.
  pending.push('publickey')
  method(cipher, 'encrypt').call(cipher, method(write, 'finalize').call(write, packet))
}

function isKey(value: unknown): value is ParsedKey {
  return typeof value === 'object' && value !== null && 'getPublicSSH' in value && 'type' in value
}

function object(value: unknown): object {
  if (typeof value !== 'object' || value === null) throw changed('its protocol')
  return value
}

function method(holder: object, name: string): (...args: unknown[]) => unknown {
  const found: unknown = Reflect.get(holder, name)
  if (!isMethod(found)) throw changed(name)
  return found
}

function isMethod(value: unknown): value is (...args: unknown[]) => unknown {
  return typeof value === 'function'
}

function changed(what: string): Error {
  return new Error(`ssh2 keeps ${what} elsewhere now, so no certificate can be shown to a host`)
}
