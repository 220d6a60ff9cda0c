/**
 * What makes two log-ins the same: a connection that was made for one may then be used for the other. Everything that
 * the log-in depends on is part of it, secrets included; they cannot be read out of the key.
 */
import { createHmac, randomBytes } from 'node:crypto'
import type { SshHost } from '../connect/connection.ts'

/** Makes the keys of one process worthless anywhere else. */
const SALT = randomBytes(32)

/** The key of a log-in at this host. */
export function loginKey(host: SshHost): string {
  return createHmac('sha256', SALT).update(describe(host)).digest('base64url')
}

function describe({ name, address, port, user, hostKeyAlias, algorithms, credentials, jump }: SshHost): string {
  const offered = credentials.map((credential) => {
    switch (credential.kind) {
      case 'key':
        return ['key', credential.pem.toString('latin1'), credential.passphrase ?? null, credential.agent ?? null]
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
    algorithms ?? null,
    offered,
    jump && describe(jump),
  ])
}
