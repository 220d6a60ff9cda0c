/**
 * Whether a host is who it should be. There is no way around it: a key that is not listed is refused, and the text
 * says which key was shown and how a person can check and enrol it.
 */
import type { ServerHostKeyAlgorithm } from 'ssh2'
import { fingerprintOf } from '../login/keys.ts'
import { type Failure, failure } from '../verdict/failure.ts'
import { type KnownHosts, knownHostsName } from './known-hosts.ts'

/** What is needed to verify a host. */
export type HostIdentity = {
  readonly address: string
  readonly port: number
  /** The name to look up instead of the address, as in ssh_config. */
  readonly hostKeyAlias?: string
}

/**
 * What ssh2 can be offered for a type of host key, strongest first. An RSA key signs in two ways; the third one,
 * SHA-1, is left out, as in OpenSSH since 8.8.
 */
const ALGORITHMS: ReadonlyMap<string, readonly ServerHostKeyAlgorithm[]> = new Map([
  ['ssh-ed25519', ['ssh-ed25519']],
  ['ecdsa-sha2-nistp256', ['ecdsa-sha2-nistp256']],
  ['ecdsa-sha2-nistp384', ['ecdsa-sha2-nistp384']],
  ['ecdsa-sha2-nistp521', ['ecdsa-sha2-nistp521']],
  ['ssh-rsa', ['rsa-sha2-512', 'rsa-sha2-256']],
] satisfies [string, ServerHostKeyAlgorithm[]][])

/**
 * The algorithms to offer a host, those of its listed keys first: a host with several keys shows the first it has in
 * common, and would look changed if that were another one than the one that is listed.
 */
export function hostKeyAlgorithms(host: HostIdentity, known: KnownHosts): ServerHostKeyAlgorithm[] {
  const types = namesOf(host).flatMap((name) => known.knownTypes(name))
  const ordered = new Set([...types, ...ALGORITHMS.keys()])
  return [...ordered].flatMap((type) => ALGORITHMS.get(type) ?? [])
}

/** Why this key must not be trusted for this host; undefined when it is the host's. */
export function refuseHostKey(host: HostIdentity, known: KnownHosts, key: Buffer): Failure | undefined {
  const [name = '', ...otherNames] = namesOf(host)
  const verdict = known.check(name, key)
  if (verdict === 'known') return undefined
  // A key listed without the port counts too, as for ssh, unless something is said about the name with the port.
  if (verdict === 'unknown' && otherNames.some((other) => known.check(other, key) === 'known')) return undefined
  const type = typeOf(key)
  const shown = `the host shows the ${type} key ${fingerprintOf(key)}`
  const files = known.files.length === 0 ? 'no known_hosts file is configured' : `read: ${known.files.join(', ')}`
  const scan = `ssh-keyscan -t ${shortType(type)} -p ${host.port} ${host.address}`
  switch (verdict) {
    case 'revoked':
      return failure('host_key_changed', `${shown}, which is marked @revoked for ${name}; ${files}`)
    case 'changed': {
      const listed = known.knownTypes(name).join(', ')
      const detail = `${shown}, but another key is listed for ${name} (${listed}): it was set up anew, or someone is in between; ${files}`
      const remedy = `if the change is expected: ssh-keygen -R '${name}', then ${enrol(scan)}`
      return failure('host_key_changed', `${detail}; ${remedy}`)
    }
    case 'certificate_only': {
      const detail = `${shown}, and only a @cert-authority is listed for ${name}; host certificates are not supported`
      return failure('host_key_unknown', `${detail}, so list the key itself: ${enrol(scan)}; ${files}`)
    }
    case 'unknown':
      return failure('host_key_unknown', `${shown}, and none is listed for ${name}; ${files}; ${enrol(scan)}`)
    default:
      return verdict satisfies never
  }
}

function enrol(scan: string): string {
  return `run "${scan}", compare the fingerprint with the one on the host (ssh-keygen -lf), and add the line to known_hosts`
}

/** The name a host is looked up under, then those that count only when nothing is listed for it. */
export function namesOf({ address, port, hostKeyAlias }: HostIdentity): string[] {
  if (hostKeyAlias !== undefined) return [hostKeyAlias.toLowerCase()]
  return [...new Set([knownHostsName(address, port), knownHostsName(address, 22)])]
}

/** A key in the wire format begins with the name of its type. */
function typeOf(key: Buffer): string {
  const length = key.length < 4 ? 0 : key.readUInt32BE(0)
  return key.toString('latin1', 4, 4 + Math.min(length, 64)).replaceAll(/[^\w.@-]/g, '?')
}

function shortType(type: string): string {
  return type.startsWith('ecdsa') ? 'ecdsa' : type.replace('ssh-', '')
}
