/** What a log-in may use, as the worker has read it: contents of files and passwords, never their names alone. */
import type { ParsedKey } from 'ssh2'
import type { Certificate } from './certificate.ts'

/** Something to log in with. */
export type Credential =
  | {
      readonly kind: 'key'
      readonly pem: Buffer | string
      /** Absent when the key is not encrypted. */
      readonly passphrase?: string
      /** How a missing passphrase is given. Absent: as an inventory does. */
      readonly passphraseAdvice?: string
      /** The key's file name, for error texts. */
      readonly source: string
      /** The content of the `.pub` file beside it. Absent where there is none. */
      readonly publicHalf?: Buffer | string
      /** The content of the file with its certificate. It is offered before the key alone. */
      readonly certificate?: Buffer | string
      /**
       * The socket of an agent that may hold the private half, where `pem` is the public one or cannot be decrypted.
       */
      readonly agent?: string
    }
  /** A key that was made for one run, with its certificate. */
  | { readonly kind: 'run_key'; readonly key: ParsedKey; readonly certificate: Certificate }
  /** Also the answer to the host's first question that is asked alone and hidden. */
  | { readonly kind: 'password'; readonly password: string }
  | { readonly kind: 'agent'; readonly socket: string }

/** Whether a host may be shown a certificate. */
export function isCertified(credential: Credential): boolean {
  return credential.kind === 'run_key' || (credential.kind === 'key' && credential.certificate !== undefined)
}
