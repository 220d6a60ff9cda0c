/**
 * `SSH_SERVERS=name:host:user[:password],…`: the short way to name a few hosts in one variable.
 *
 * A password is never kept: the host gets a reference, and `secrets/secret.ts` reads the variable again when a
 * connection is made. No mistake quotes an entry, because the part of a password after a comma looks like an entry.
 */
import { foldHosts, isHostName, SSH_PORT, type SshServersEntry, sshServersEntries } from '@muster/contract'
import type { CredentialRef, HostDefaults, HostDraft, SourceContent } from '../hosts/inventory-host.ts'
import type { Mistake } from '../hosts/mistakes.ts'
import { isAddress } from './inventory-fields.ts'

/** The name of the variable, and of this source in mistakes. */
export const SSH_SERVERS = 'SSH_SERVERS'

/** The hosts of the variable. A host without a password gets the usual credentials. */
export function readSshServers(text: string, defaults: HostDefaults): SourceContent {
  const mistakes: Mistake[] = []
  const hosts: HostDraft[] = []
  const withPassword: string[] = []
  for (const [index, entry] of sshServersEntries(text).entries()) {
    if (entry === undefined) continue
    const position = { source: SSH_SERVERS, path: `entry ${index + 1}` }
    const fault = faultOf(entry)
    if (entry === 'malformed' || fault !== undefined) {
      mistakes.push({ position, text: fault ?? '' })
      continue
    }
    const { name, address, user, password } = entry
    if (password !== '') withPassword.push(name)
    const secret: CredentialRef = { kind: 'password', secret: { kind: 'ssh_servers', host: name } }
    const credentials = password === '' ? defaults.credentials : Object.freeze([Object.freeze(secret)])
    hosts.push({ name, aliases: [], address, port: SSH_PORT, user, labels: Object.freeze({}), credentials, position })
  }
  const warnings = withPassword.length === 0 ? [] : [passwordWarning(withPassword)]
  return { hosts, groups: [], mistakes, warnings, isOptional: false }
}

/** The password of a host in the variable; undefined when it has none. */
export function sshServersPassword(text: string, host: string): string | undefined {
  for (const entry of sshServersEntries(text)) {
    if (entry !== undefined && entry !== 'malformed' && entry.name === host && entry.password !== '')
      return entry.password
  }
  return undefined
}

function faultOf(entry: SshServersEntry | 'malformed'): string | undefined {
  if (entry === 'malformed') return 'expected name:host:user[:password]; a password with a comma cannot be given here'
  if (!isHostName(entry.name)) return 'the name must have letters, digits, ".", "_" and "-" only'
  if (!isAddress(entry.address)) return 'the host must be a host name or an IP address, IPv6 in brackets'
  if (!/^[^\s-]\S*$/.test(entry.user)) return 'the user is missing, or has spaces in it'
  return undefined
}

function passwordWarning(names: readonly string[]): string {
  const what = names.length === 1 ? 'a password for' : 'passwords for'
  const why = 'this is weak, because child processes inherit environment variables and the same user can read them'
  const advice = 'use a key, or password_file in the inventory file'
  return `${SSH_SERVERS} holds ${what} ${foldHosts(names)}: ${why}; ${advice}`
}
