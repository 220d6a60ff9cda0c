/**
 * Reads a certificate and its private key, and refuses what callers would refuse: a pair that does not belong together,
 * or a certificate outside its time. Texts never hold a key.
 */
import { createHash, createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { MusterError } from '@muster/contract'
import { readTrustedFile } from '@muster/runtime'

/** Where the pair is. */
export type TlsFiles = { readonly certFile: string; readonly keyFile: string }

/** A pair that can be used now. */
export type TlsPair = {
  /** The certificate with those between it and its authority, and the private key, as texts. */
  readonly cert: string
  readonly key: string
  /** The server's own certificate. */
  readonly leaf: X509Certificate
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g
const PRIVATE_KEY = /-----BEGIN [A-Z ]*PRIVATE KEY-----/

/** Both texts as they stand in the files, whatever they are. */
export async function readTlsFiles({ certFile, keyFile }: TlsFiles): Promise<{ cert: string; key: string }> {
  const cert = await read('MUSTER_TLS_CERT_FILE', certFile, false)
  const key = await read('MUSTER_TLS_KEY_FILE', keyFile, true)
  return { cert, key }
}

/** Tells two pairs of texts apart. */
export function digestOf({ cert, key }: { cert: string; key: string }): string {
  return createHash('sha256').update(cert).update('\0').update(key).digest('hex')
}

/**
 * Checks a pair.
 * @throws {MusterError} invalid_config, with the variable, what was found and what to do
 */
export function checkPair({ cert, key }: { cert: string; key: string }, files: TlsFiles, now = Date.now()): TlsPair {
  const certificates = certificatesIn(cert, files.certFile)
  const privateKey = privateKeyIn(key, files.keyFile)
  const [leaf] = certificates
  if (leaf === undefined) {
    const found = PRIVATE_KEY.test(cert) ? 'holds a private key and no certificate' : 'holds no certificate in PEM form'
    throw certMistake(files.certFile, `${found}; give the server's certificate, then those up to its authority`)
  }
  if (!leaf.checkPrivateKey(privateKey)) throw mismatch(certificates, privateKey, files)
  checkTime(leaf, files.certFile, now)
  try {
    createSecureContext({ cert, key })
  } catch (error) {
    // OpenSSL's words, such as "ee key too small".
    const why = error instanceof Error ? error.message : String(error)
    throw certMistake(files.certFile, `cannot be used: ${why}; get a certificate that today's clients accept`, error)
  }
  return { cert, key, leaf }
}

async function read(name: string, file: string, isSecret: boolean): Promise<string> {
  try {
    const text = await readTrustedFile(file, { isSecret })
    if (text !== undefined) return text
  } catch (error) {
    if (!(error instanceof MusterError)) throw error
    throw new MusterError('invalid_config', `${name}: ${error.message}`, { cause: error })
  }
  throw new MusterError('invalid_config', `${name}: there is no file ${file}; correct the path`)
}

function certificatesIn(text: string, file: string): X509Certificate[] {
  return [...text.matchAll(CERTIFICATE)].map(([pem], index) => {
    try {
      return new X509Certificate(pem)
    } catch (error) {
      throw certMistake(file, `its certificate ${index + 1} cannot be read; copy it again`, error)
    }
  })
}

function privateKeyIn(text: string, file: string): KeyObject {
  try {
    return createPrivateKey(text)
  } catch (error) {
    const isEncrypted = /ENCRYPTED/.test(text)
    const why = isEncrypted
      ? 'the key has a passphrase, which nobody could enter; write it without one: openssl pkey -in FILE -out NEW'
      : 'holds no private key in PEM form'
    // The cause is left out: it is of no use without the text, which nobody must see.
    throw new MusterError('invalid_config', `MUSTER_TLS_KEY_FILE: ${file}: ${why}`, isEncrypted ? {} : { cause: error })
  }
}

function mismatch(
  certificates: readonly X509Certificate[],
  key: KeyObject,
  { certFile, keyFile }: TlsFiles,
): MusterError {
  const place = certificates.findIndex((certificate) => certificate.checkPrivateKey(key))
  if (place > 0) {
    const order = `the certificate of the key is number ${place + 1} in the file`
    return certMistake(certFile, `${order}; put it first, then those up to its authority`)
  }
  const subject = certificates[0]?.subject.replace(/\n/g, ', ')
  return certMistake(
    certFile,
    `the certificate (${subject}) does not belong to the key in ${keyFile}; give its own key`,
  )
}

function checkTime({ validFrom, validTo }: X509Certificate, file: string, now: number): void {
  if (Date.parse(validTo) <= now) throw certMistake(file, `the certificate expired at ${validTo}; renew it`)
  if (Date.parse(validFrom) <= now) return
  throw certMistake(file, `the certificate is valid from ${validFrom} on; wait, or correct the clock`)
}

function certMistake(file: string, what: string, cause?: unknown): MusterError {
  return new MusterError('invalid_config', `MUSTER_TLS_CERT_FILE: ${file}: ${what}`, { cause })
}
