/**
 * What may be offered to a host that a request names: a key file that the request names, what the section `credentials`
 * of the inventory has for it, and, on a person's own stack, what ssh itself would try. Never the credentials of a host
 * of the inventory. Reads no key and no secret.
 */
import { join } from 'node:path'
import { type Connect, MusterError } from '@muster/contract'
import type { CredentialRef, InventoryHost, NamedCredential, SecretRef } from '../hosts/inventory-host.ts'
import { expandHome, usualCredentials } from './credentials.ts'

/** Where credentials come from. */
export type RequestCredentialSources = {
  readonly credentials: readonly NamedCredential[]
  readonly home: string
  /** The directories of key files that a request may name, as absolute paths. */
  readonly keyDirectories: readonly string[]
  readonly agentSocket: string | undefined
}

/**
 * The credentials for a host that a request names, in the order in which they are offered; maybe none. `connect` is
 * absent for a host to go through: what it says is for the host itself.
 * @throws {MusterError} invalid_config when the request names a credential that there is not, or that is for others
 */
export async function requestCredentials(
  host: InventoryHost,
  connect: Pick<Connect, 'credential' | 'identity_file'> | undefined,
  { credentials, home, keyDirectories, agentSocket }: RequestCredentialSources,
): Promise<readonly CredentialRef[]> {
  const { credential: name, identity_file: file } = connect ?? {}
  const takesUsual = keyDirectories.includes(join(home, '.ssh'))
  if (file !== undefined) {
    // The agent holds keys of the worker's user, too.
    const agent = takesUsual ? (agentSocket ?? '') : ''
    return [{ kind: 'key', identityFile: expandHome(file, home), isOfRequest: true, agent }]
  }
  const fitting = fittingFor(host, name, credentials).flatMap((one) => one.credentials)
  return [...fitting, ...(takesUsual && name === undefined ? await usualCredentials(home, agentSocket) : [])]
}

/**
 * The password for sudo of the user at a host that a request names: where the request says nothing else of how to log
 * in, that of the section `credentials`. Undefined when there is none.
 * @throws {MusterError} as `requestCredentials` does
 */
export function requestSudoPassword(
  host: InventoryHost,
  connect: Pick<Connect, 'credential' | 'identity_file'> | undefined,
  { credentials }: Pick<RequestCredentialSources, 'credentials'>,
): SecretRef | undefined {
  if (connect?.identity_file !== undefined) return undefined
  const fitting = fittingFor(host, connect?.credential, credentials)
  return fitting.find(({ sudoPassword }) => sudoPassword !== undefined)?.sudoPassword
}

/** The entries for the host, in their order; the one that is named alone, if one is. */
function fittingFor(
  host: InventoryHost,
  name: string | undefined,
  credentials: readonly NamedCredential[],
): readonly NamedCredential[] {
  if (name === undefined) return credentials.filter((one) => isFor(one, host))
  const named = credentials.find((one) => one.name === name)
  if (named === undefined) throw new MusterError('invalid_config', `the inventory has no credential ${name}`)
  if (isFor(named, host)) return [named]
  throw new MusterError('invalid_config', `the credential ${name} of the inventory is not for ${host.name}`)
}

function isFor({ hosts, users }: NamedCredential, { address, user }: InventoryHost): boolean {
  return (users?.includes(user) ?? true) && (hosts.hasName(address) || hosts.hasAddress(address))
}
