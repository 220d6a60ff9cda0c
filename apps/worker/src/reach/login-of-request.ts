/** What a request itself brings to log in with, sealed, and how it is offered to the hosts that the request names. */
import type { Connect, LoginSecrets } from '@muster/contract'
import type { Credential } from '@muster/ssh'

/** What the request says of the hosts that it names itself: how they are reached, and what came with it to log in. */
export type ForNamed = { readonly connect: Connect | undefined; readonly login: LoginSecrets | undefined }

/** The credentials that were found, and those of the request: its key first, its password last, as ssh does it. */
export function withLoginOf(
  { password, private_key: pem, passphrase }: LoginSecrets,
  found: readonly Credential[],
): readonly Credential[] {
  const phrase = passphrase === undefined ? {} : { passphrase }
  const keys: Credential[] =
    pem === undefined
      ? found.map((one) => (one.kind === 'key' ? { ...one, ...phrase } : one))
      : [{ kind: 'key', source: 'the private key of the request', pem, ...phrase }]
  return password === undefined ? keys : [...keys, { kind: 'password', password }]
}

const FOR_HOST_ALONE = 'what the request says to log in with is for the host behind it alone'
const BY_INVENTORY = 'this one logs in with its credentials in the inventory'
const BY_WORKER =
  'this one logs in with what fits it in the section "credentials" of the inventory, and, if ~/.ssh is one of ' +
  'MUSTER_ADHOC_KEY_DIRS, with the SSH agent and the keys of the worker'

/**
 * What to tell where a host to go through refuses the log-in: whoever gave a password may expect it to be offered
 * there. Undefined when the request says nothing of what to log in with.
 */
export function noteForHop({ connect, login }: ForNamed, isOfRequest: boolean): string | undefined {
  const isSaid = login !== undefined || connect?.identity_file !== undefined || connect?.credential !== undefined
  return isSaid ? `${FOR_HOST_ALONE}; ${isOfRequest ? BY_WORKER : BY_INVENTORY}` : undefined
}
