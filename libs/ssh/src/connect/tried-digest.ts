/**
 * A digest of everything an attempt to reach a host depends on: equal digests mean the same attempt. So a host that
 * failed is tried at once when something was put right. No secret can be guessed from it: of keys it holds the public
 * half, of passwords a MAC whose key stays with the worker.
 */
import { createHash, createHmac } from 'node:crypto'
import { fingerprintOf, type KnownHosts, knownHostsNames } from '@muster/contract'
import ssh2 from 'ssh2'
import type { Credential } from '../login/credential.ts'
import { readPrivateKey, readPublicKey } from '../login/keys.ts'
import { withinMs } from '../verdict/within-ms.ts'
import type { SshHost } from './connection.ts'

/** Reaching the host at all, or logging in to it. */
export type TriedKind = 'connect' | 'auth'

const DIGEST_CHARS = 22
/** How long an agent may take to name its keys. */
const AGENT_MS = 2_000

/**
 * The digest: for `connect`, where the host is; for `auth` also the user, the credentials, and the keys known for the
 * host.
 * @param salt of the worker: passwords are not comparable between workers
 */
export async function triedDigest(
  host: SshHost,
  kind: TriedKind,
  { known, salt }: { readonly known: KnownHosts; readonly salt: string },
): Promise<string> {
  const what = kind === 'connect' ? routeOf(host) : [routeOf(host), ...(await logInOf(host, known, salt))]
  return createHash('sha256').update(JSON.stringify(what)).digest('base64url').slice(0, DIGEST_CHARS)
}

function routeOf({ address, port, jump }: SshHost): unknown[] {
  return [address, port, jump === undefined ? null : routeOf(jump)]
}

async function logInOf(host: SshHost, known: KnownHosts, salt: string): Promise<unknown[]> {
  const offered = await Promise.all(host.credentials.map((credential) => offerOf(credential, salt)))
  const listed = knownHostsNames(host).map((name) => known.listed(name).toSorted())
  return [host.user, offered, listed, ...(host.pinnedKey === undefined ? [] : [host.pinnedKey])]
}

async function offerOf(credential: Credential, salt: string): Promise<unknown[]> {
  switch (credential.kind) {
    case 'key': {
      const usable = readPrivateKey(credential)
      const key = 'key' in usable ? usable.key : readPublicKey(credential.publicHalf ?? '')
      const blob = key?.getPublicSSH().toString('base64') ?? null
      const held = credential.agent === undefined || 'key' in usable ? [] : await agentKeys(credential.agent)
      return ['key', blob, 'key' in usable, held, credential.certificate?.toString() ?? null]
    }
    case 'run_key':
      // It is another one each time.
      return ['run_key', fingerprintOf(credential.certificate.authority)]
    case 'password':
      return ['password', createHmac('sha256', salt).update(credential.password).digest('base64')]
    case 'agent':
      return ['agent', await agentKeys(credential.socket)]
    default:
      return credential satisfies never
  }
}

/** The public keys that an agent holds; none if it does not answer. */
async function agentKeys(socket: string): Promise<string[]> {
  const keys: string[] = []
  const asked = new Promise<void>((resolve) => {
    if (socket === '') return resolve()
    new ssh2.OpenSSHAgent(socket).getIdentities((_error, held = []) => {
      for (const key of held) if ('getPublicSSH' in key) keys.push(key.getPublicSSH().toString('base64'))
      resolve()
    })
  })
  await withinMs(AGENT_MS, asked)
  return keys.toSorted()
}
