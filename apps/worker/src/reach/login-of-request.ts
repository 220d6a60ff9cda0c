/** What a request itself brings to log in with, sealed, and how it is offered to the hosts that the request names. */
import type { LoginSecrets } from '@muster/contract'
import type { Credential } from '@muster/ssh'

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
