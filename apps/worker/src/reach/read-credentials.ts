/** Reads the credentials of a host, from the references of the inventory. Knows neither caches nor programs. */
import {
  type AuthorityRef,
  type CredentialRef,
  type GivenSecretRef,
  type KeyContent,
  type KeyRef,
  ownAgent,
  type SecretRef,
  SecretRefused,
} from '@muster/inventory'
import type { Credential } from '@muster/ssh'
import type { AskedCertificate } from './credential-command.ts'

/** How a request gives the passphrase of the key file that it names. */
const OF_REQUEST = 'give connect.passphrase (--ask-passphrase) with the request'

/** Reads the files of a key. */
type ReadKey = (ref: KeyRef) => Promise<KeyContent>

/** How the parts of a credential are read; `agent` is the socket of the worker's own. */
export type Readers = {
  readonly agent: string | undefined
  readonly read: (ref: SecretRef, certificate?: AskedCertificate) => Promise<string>
  readonly readKept: ReadKey
  /** Makes the key of the run. Undefined: it is not to log in, and none is made. */
  readonly makeRunKey: (by: GivenSecretRef | AuthorityRef) => Promise<Credential | undefined>
}

/**
 * All credentials that can be read. One unreadable file does not stop the others; one that is refused does, as the
 * inventory names what it must not.
 * @throws {MusterError} invalid_inventory, invalid_config: none can be read, or one is refused
 */
export async function readCredentials(refs: readonly CredentialRef[], readers: Readers): Promise<Credential[]> {
  const results = await Promise.allSettled(refs.map((ref) => readCredential(ref, readers)))
  const credentials = results.flatMap((result) => {
    return result.status === 'fulfilled' && result.value !== undefined ? [result.value] : []
  })
  const failures = results.flatMap((result): unknown[] => (result.status === 'rejected' ? [result.reason] : []))
  const refusal = failures.find((reason) => reason instanceof SecretRefused)
  if (refusal !== undefined) throw refusal
  if (credentials.length === 0 && failures.length > 0) throw failures[0]
  return credentials
}

async function readCredential(ref: CredentialRef, readers: Readers): Promise<Credential | undefined> {
  const { agent: own, read, readKept } = readers
  switch (ref.kind) {
    case 'agent':
      return { kind: 'agent', socket: await ownAgent(ref.socket ?? own ?? '', own) }
    case 'password':
      return { kind: 'password', password: await read(ref.secret) }
    case 'key': {
      const advice = ref.isOfRequest === true ? { passphraseAdvice: OF_REQUEST } : {}
      const key = { kind: 'key', source: ref.identityFile, ...(await readKept(ref)), ...advice } as const
      const agent = ref.agent ?? own ?? ''
      const held = agent === '' ? key : { ...key, agent: await ownAgent(agent, own) }
      return ref.passphrase === undefined ? held : { ...held, passphrase: await read(ref.passphrase) }
    }
    case 'run_certificate':
      return await readers.makeRunKey(ref.by)
    case 'given_key': {
      const key = { kind: 'key', source: `from ${ref.secret.argv[0]}`, pem: await read(ref.secret) } as const
      return ref.passphrase === undefined ? key : { ...key, passphrase: await read(ref.passphrase) }
    }
    default:
      return ref satisfies never
  }
}
