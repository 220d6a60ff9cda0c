/**
 * OpenSSH certificates of users: what one says, and what is wrong with it for a log-in. Verifies no signature of the
 * authority; the host does that.
 *
 * @see https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.certkeys
 */
import { fingerprintOf } from '@muster/contract'
import { printable } from '../verdict/failure.ts'
import { sshString, WireReader } from './wire.ts'

/** What a certificate says. */
export type Certificate = {
  /** In the wire format, as a host is shown it. */
  readonly blob: Buffer
  /** The type of the key that it certifies, such as `ssh-ed25519`. */
  readonly keyType: string
  /** That key, in the wire format. */
  readonly publicKey: Buffer
  readonly serial: bigint
  readonly isOfUser: boolean
  readonly keyId: string
  readonly principals: readonly string[]
  /** In seconds since 1970. */
  readonly validAfterS: number
  /** Infinity: for ever. */
  readonly validBeforeS: number
  /** The key of the authority, in the wire format. */
  readonly authority: Buffer
}

/** The fields of a public key by its type: how many strings follow the nonce. */
const KEY_FIELDS: ReadonlyMap<string, number> = new Map([
  ['ssh-ed25519', 1],
  ['ecdsa-sha2-nistp256', 2],
  ['ecdsa-sha2-nistp384', 2],
  ['ecdsa-sha2-nistp521', 2],
  ['ssh-rsa', 2],
])

const SUFFIX = '-cert-v01@openssh.com'
const LINE = /^\s*([a-z0-9-]+-cert-v01@openssh\.com) +([A-Za-z0-9+/]+={0,2})(?:\s|$)/
const USER = 1
const FOR_EVER = 0xffff_ffff_ffff_ffffn
/** How many principals are shown. */
const SHOWN = 5

/** The certificate in the text of a file, or why there is none, as the end of "CERTIFICATE: …". */
export function readCertificate(text: Buffer | string): Certificate | { readonly problem: string } {
  const [, type = '', base64 = ''] = LINE.exec(text.toString()) ?? []
  if (type === '') return { problem: 'it holds no certificate of OpenSSH; ssh-keygen -L -f with the file shows one' }
  const keyType = type.slice(0, -SUFFIX.length)
  const count = KEY_FIELDS.get(keyType)
  if (count === undefined) return { problem: 'its key is of a type that is not supported: use ed25519, ECDSA or RSA' }
  try {
    return parse(Buffer.from(base64, 'base64'), { type, keyType, count })
  } catch (error) {
    if (error instanceof RangeError)
      return { problem: 'it is damaged; ssh-keygen -L -f with the file shows a whole one' }
    throw error
  }
}

function parse(blob: Buffer, { type, keyType, count }: { type: string; keyType: string; count: number }): Certificate {
  const reader = new WireReader(blob)
  if (reader.string().toString() !== type) throw new RangeError('it is of another type')
  reader.string()
  const fields = Array.from({ length: count }, () => sshString(reader.string()))
  const publicKey = Buffer.concat([sshString(keyType), ...fields])
  const serial = reader.uint64()
  const isOfUser = reader.uint32() === USER
  const keyId = printable(reader.string().toString())
  const names = new WireReader(reader.string())
  const principals: string[] = []
  while (!names.isAtEnd) principals.push(printable(names.string().toString()))
  const [validAfter, validBefore] = [reader.uint64(), reader.uint64()]
  for (let options = 0; options < 3; options += 1) reader.string()
  const authority = reader.string()
  reader.string()
  if (!reader.isAtEnd) throw new RangeError('something follows it')
  const validBeforeS = validBefore === FOR_EVER ? Number.POSITIVE_INFINITY : Number(validBefore)
  const validAfterS = Number(validAfter)
  return { blob, keyType, publicKey, serial, isOfUser, keyId, principals, validAfterS, validBeforeS, authority }
}

/** Why it can never log in with this key; undefined where it may. Such a one is not shown to a host. */
export function faultOf(certificate: Certificate, publicKey: Buffer): string | undefined {
  if (!certificate.isOfUser) return 'it is the certificate of a host; a user needs one made without "ssh-keygen -h"'
  if (certificate.publicKey.equals(publicKey)) return undefined
  const [its, own] = [certificate.publicKey, publicKey].map(fingerprintOf)
  return `it belongs to another key (${its}) than this one (${own})`
}

/**
 * Why a host may have refused it. None of it is sure: the clock of this worker may be wrong, and a host may take other
 * principals for a user.
 */
export function doubtsAbout(certificate: Certificate, user: string, nowMs: number): string[] {
  const { principals, validAfterS, validBeforeS, authority } = certificate
  const isNamed = principals.includes(user)
  const more = principals.length > SHOWN ? ` and ${principals.length - SHOWN} more` : ''
  const names = `${principals.slice(0, SHOWN).join(', ')}${more}`
  const nobody = 'it names no principal, and hosts take no such certificate for a user'
  return [
    ...(validBeforeS * 1_000 <= nowMs ? [`it expired at ${timeOf(validBeforeS)}`] : []),
    ...(validAfterS * 1_000 > nowMs ? [`it is not valid before ${timeOf(validAfterS)}`] : []),
    ...(isNamed ? [] : [principals.length === 0 ? nobody : `its principals are ${names}, not ${user}`]),
    `the host must trust its authority ${fingerprintOf(authority)} (TrustedUserCAKeys)`,
  ]
}

function timeOf(seconds: number): string {
  const time = new Date(seconds * 1_000)
  return Number.isNaN(time.getTime()) ? `second ${seconds}` : time.toISOString().replace('.000Z', 'Z')
}
