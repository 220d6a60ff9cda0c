/**
 * Whose certificates `muster` trusts: those of the authorities that Node ships, and of one that the person names in
 * MUSTER_CA_FILE, such as a company's own. NODE_EXTRA_CA_CERTS works without it, as in every Node program.
 */
import { X509Certificate } from 'node:crypto'
import { rootCertificates } from 'node:tls'
import { MusterError } from '@muster/contract'
import { readTrustedFile } from '@muster/runtime'

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g

/** What Node calls a certificate that it does not accept (X509 certificate error codes in its TLS page). */
const NOT_TRUSTED: ReadonlySet<unknown> = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_REJECTED',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'INVALID_CA',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

/**
 * Makes every later request of this process trust the authorities in the file as well.
 * @throws {MusterError} `invalid_config` when somebody else could have written it, or it holds no certificate
 */
export async function trustAuthority(file: string): Promise<void> {
  const text = await readTrustedFile(file)
  if (text === undefined) throw mistake(`there is no file ${file}`)
  const authorities = [...text.matchAll(CERTIFICATE)].map(([pem], index) => {
    try {
      return new X509Certificate(pem).toString()
    } catch (error) {
      throw mistake(`${file}: its certificate ${index + 1} cannot be read`, error)
    }
  })
  if (authorities.length === 0) throw mistake(`${file} holds no certificate in PEM form`)
  // Only who needs it waits for it to load.
  const { Agent, setGlobalDispatcher } = await import('undici')
  setGlobalDispatcher(new Agent({ connect: { ca: [...rootCertificates, ...authorities] } }))
}

/** The fault of a request whose server shows a certificate that is not trusted; undefined for any other fault. */
export function untrusted(url: string, error: unknown): MusterError | undefined {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  if (!(cause instanceof Error && 'code' in cause && NOT_TRUSTED.has(cause.code))) return undefined
  const why = `the certificate of ${url} is not trusted (${cause.message}), so nothing was sent`
  const advice = 'set MUSTER_CA_FILE to the certificate of its authority, or call it by a name that it is for'
  return new MusterError('invalid_config', `${why}; ${advice}`, { cause: error })
}

function mistake(what: string, cause?: unknown): MusterError {
  const advice = "name a file with the certificate of your server's authority"
  return new MusterError('invalid_config', `MUSTER_CA_FILE: ${what}; ${advice}`, { cause })
}
