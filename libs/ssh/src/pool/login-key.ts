/**
 * A key for everything a log-in depends on, secrets included. Two log-ins with equal keys may share a connection. The
 * secrets cannot be read from the key.
 */
import { createHmac, randomBytes } from 'node:crypto'
import type { SshHost } from '../connect/connection.ts'

/** Makes the keys of one process useless anywhere else. */
const SALT = randomBytes(32)

/** The key of a log-in at this host. */
export function loginKey(host: SshHost): string {
  return createHmac('sha256', SALT).update(describe(host)).digest('base64url')
}

function describe(host: SshHost): string {
  const { name, address, port, user, hostKeyAlias, pinnedKey, algorithms, credentials, jump } = host
  const offered = credentials.map((credential) => {
    switch (credential.kind) {
      case 'key':
        return [
          'key',
          credential.pem.toString('latin1'),
          credential.passphrase ?? null,
          credential.agent ?? null,
          credential.certificate?.toString('latin1') ?? null,
        ]
      case 'run_key':
        return ['run_key', credential.certificate.blob.toString('base64')]
      case 'password':
        return ['password', credential.password]
      case 'agent':
        return ['agent', credential.socket]
      default:
        return credential satisfies never
    }
  })
  return JSON.stringify([
    name,
    address,
    port,
    user,
    hostKeyAlias ?? null,
    pinnedKey ?? null,
    algorithms ?? null,
    offered,
    host.proxy?.argv ?? null,
    [host.hostKeys ?? null, host.keyExchanges ?? null, host.env ?? null],
    jump && describe(jump),
  ])
}
