/**
 * A key for a single run: made in memory, certified for one user until one time, and forgotten. The host's own log then
 * has the key ID of the certificate, which says whose log-in it was.
 *
 * Our own authority signs here and not by ssh-keygen, which would want keys in files, and a process for each run.
 *
 * @see https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.certkeys
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import type { ParsedKey } from 'ssh2'
import { type Certificate, faultOf, readCertificate } from './certificate.ts'
import { hashOf } from './certified-key.ts'
import { type KeyFile, parsedEd25519, readPrivateKey } from './keys.ts'
import { inSshForm, sshString, uint32, uint64 } from './wire.ts'

/** A key for a run. */
export type RunKey = {
  /** The public half as a line of text, for whoever certifies it. */
  readonly publicLine: string
  readonly key: ParsedKey
}

/** For whom a run key is good, and until when. */
export type CertificateTerms = {
  /** What the log of the host shows. */
  readonly keyId: string
  readonly serial: bigint
  readonly user: string
  readonly validAfterMs: number
  readonly validBeforeMs: number
  /** Whether connections to other hosts may be made through this one. */
  readonly mayForward: boolean
}

const TYPE = 'ssh-ed25519'
const CERTIFICATE_TYPE = `${TYPE}-cert-v01@openssh.com`
const USER = 1
const NONCE_BYTES = 32

/** Makes a key. */
export function makeRunKey(): RunKey {
  const key = parsedEd25519(generateKeyPairSync('ed25519').privateKey)
  return { key, publicLine: `${TYPE} ${key.getPublicSSH().toString('base64')}` }
}

/** Certifies a key by the private key of an authority; or says why that cannot be used. */
export function certify(
  { key }: RunKey,
  authority: KeyFile,
  terms: CertificateTerms,
): Certificate | { readonly problem: string } {
  const usable = readPrivateKey(authority)
  if (!('key' in usable)) return { problem: usable.problem }
  const signer = usable.key
  const body = Buffer.concat([
    sshString(CERTIFICATE_TYPE),
    sshString(randomBytes(NONCE_BYTES)),
    // The public key without the name of its type.
    key.getPublicSSH().subarray(sshString(TYPE).length),
    uint64(terms.serial),
    uint32(USER),
    sshString(terms.keyId),
    sshString(sshString(terms.user)),
    uint64(BigInt(Math.floor(terms.validAfterMs / 1_000))),
    uint64(BigInt(Math.ceil(terms.validBeforeMs / 1_000))),
    // No critical options; and of what an account may do besides running commands, as little as it needs.
    sshString(''),
    sshString(terms.mayForward ? Buffer.concat([sshString('permit-port-forwarding'), sshString('')]) : ''),
    sshString(''),
    sshString(signer.getPublicSSH()),
  ])
  const algorithm = signer.type === 'ssh-rsa' ? 'rsa-sha2-512' : signer.type
  const signature = signer.sign(body, hashOf(signer))
  if (!Buffer.isBuffer(signature)) return { problem: 'it does not sign' }
  const proof = Buffer.concat([sshString(algorithm), sshString(inSshForm(signature, algorithm))])
  return checked(`${CERTIFICATE_TYPE} ${Buffer.concat([body, sshString(proof)]).toString('base64')}`, key)
}

/** The certificate that somebody else has made for the key; or why it is none. */
export function certifiedBy(line: string, { key }: RunKey): Certificate | { readonly problem: string } {
  return checked(line, key)
}

function checked(line: string, key: ParsedKey): Certificate | { readonly problem: string } {
  const certificate = readCertificate(line)
  if ('problem' in certificate) return certificate
  const fault = faultOf(certificate, key.getPublicSSH())
  return fault === undefined ? certificate : { problem: fault }
}
