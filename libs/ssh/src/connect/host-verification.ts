/**
 * Verifies the identity of a host. There is no way around it: a key that is not listed is refused, and the text says
 * which key was shown and how a person can check and enrol it.
 */
import { fingerprintOf, HOST_KEYS, isOneHost, type KnownHosts, knownHostsNames } from '@muster/contract'
import type { ServerHostKeyAlgorithm } from 'ssh2'
import { type Failure, failure } from '../verdict/failure.ts'

/** The fields that identify a host in known_hosts. */
export type HostIdentity = {
  readonly address: string
  readonly port: number
  /** The name to look up instead of the address, as in ssh_config. */
  readonly hostKeyAlias?: string
  /** The algorithms of host keys to offer, in this order where known_hosts says nothing. Absent: the usual ones. */
  readonly hostKeys?: readonly string[]
  /** The key that the host must show. Absent: one that known_hosts lists. */
  readonly pinnedKey?: PinnedKey
}

/** What `muster trust` calls a host, and whether it could scan it: nobody here reaches one behind a jump host. */
type Naming = { readonly name?: string; readonly jump?: object }

/** A key that a request names, by its fingerprint. */
type PinnedKey = {
  readonly fingerprint: string
  /** Whether it stands for known_hosts, or the key must be listed there too. */
  readonly isEnough: boolean
}

/**
 * The algorithms for each type of host key, strongest first. An RSA key signs in two ways; the third, SHA-1, is left
 * out, as in OpenSSH since 8.8.
 */
const ALGORITHMS: ReadonlyMap<string, readonly ServerHostKeyAlgorithm[]> = new Map([
  ['ssh-ed25519', ['ssh-ed25519']],
  ['ecdsa-sha2-nistp256', ['ecdsa-sha2-nistp256']],
  ['ecdsa-sha2-nistp384', ['ecdsa-sha2-nistp384']],
  ['ecdsa-sha2-nistp521', ['ecdsa-sha2-nistp521']],
  ['ssh-rsa', ['rsa-sha2-512', 'rsa-sha2-256']],
] satisfies [string, ServerHostKeyAlgorithm[]][])

/** Only where a host's own list has it. */
const SHA1: readonly ServerHostKeyAlgorithm[] = HOST_KEYS.besides

/**
 * The algorithms to offer a host, those of its listed keys first: a host with several keys shows the first one in
 * common, and would look changed if that were a key that is not listed.
 */
export function hostKeyAlgorithms(host: HostIdentity, known: KnownHosts): ServerHostKeyAlgorithm[] {
  const types = knownHostsNames(host).flatMap((name) => known.knownTypes(name))
  const ordered = new Set([...types, ...ALGORITHMS.keys()])
  const usual = [...ordered].flatMap((type) => ALGORITHMS.get(type) ?? [])
  const { hostKeys } = host
  if (hostKeys === undefined) return usual
  const listed = types.flatMap((type) => [...(ALGORITHMS.get(type) ?? []), ...(type === 'ssh-rsa' ? SHA1 : [])])
  const first = listed.filter((name) => hostKeys.includes(name))
  const wanted = hostKeys.flatMap((name) => [...usual, ...SHA1].filter((known) => known === name))
  return [...new Set([...first, ...wanted])]
}

/**
 * The algorithms for the other keys of a host that has shown this one and offers those: one of them may be the pinned
 * key. None where this is it, or none is pinned.
 */
export function otherHostKeys(
  host: HostIdentity,
  known: KnownHosts,
  { shown, offers }: { readonly shown: Buffer; readonly offers: readonly string[] },
): ServerHostKeyAlgorithm[] {
  const { pinnedKey } = host
  if (pinnedKey === undefined || pinnedKey.fingerprint === fingerprintOf(shown)) return []
  const type = typeOf(shown)
  const ofShown = [...(ALGORITHMS.get(type) ?? []), ...(type === 'ssh-rsa' ? SHA1 : [])]
  return hostKeyAlgorithms(host, known).filter((name) => offers.includes(name) && !ofShown.includes(name))
}

/** Why a jump host is not asked for a host that known_hosts must list; undefined when it is listed. */
export function refuseUnlisted(host: HostIdentity, known: KnownHosts): Failure | undefined {
  const names = knownHostsNames(host)
  if (names.some((name) => known.knownTypes(name).length > 0)) return undefined
  const why = 'its name would be looked up behind the jump host, where nobody can check where it leads'
  return failure('host_key_unknown', `no key is listed for ${names[0]}, and ${why}; ${filesOf(known)}`)
}

/** Why this key must not be trusted for this host; undefined if it is the host's. */
export function refuseHostKey(host: HostIdentity & Naming, known: KnownHosts, key: Buffer): Failure | undefined {
  const [name = '', ...otherNames] = knownHostsNames(host)
  const standing = known.check(name, key)
  const pin = host.pinnedKey
  if (pin !== undefined && pin.fingerprint !== fingerprintOf(key)) {
    const shown = `the host shows the ${typeOf(key)} key ${fingerprintOf(key)}`
    return failure('host_key_changed', `${shown}, and the request wants ${pin.fingerprint} (connect.host_key)`)
  }
  if (pin?.isEnough === true && standing !== 'revoked') return undefined
  if (standing === 'known') return undefined
  // A key listed without the port counts too, as for ssh, unless the name with the port is listed.
  if (standing === 'unknown' && otherNames.some((other) => known.check(other, key) === 'known')) return undefined
  const type = typeOf(key)
  const shown = `the host shows the ${type} key ${fingerprintOf(key)}`
  const files = filesOf(known)
  const scan = `ssh-keyscan -t ${shortType(type)} -p ${host.port} ${host.address}`
  const enrolling = enrol(scan, host)
  switch (standing) {
    case 'revoked':
      return failure('host_key_changed', `${shown}, which is marked @revoked for ${name}; ${files}`)
    case 'changed': {
      const listed = known.knownTypes(name).join(', ')
      const causes = 'it was reinstalled, or someone is in between'
      const detail = `${shown}, but another key is listed for ${name} (${listed}): ${causes}; ${files}`
      const remedy = `if the change is expected: ssh-keygen -R '${name}', then ${enrolling}`
      return failure('host_key_changed', `${detail}; ${remedy}`)
    }
    case 'certificate_only': {
      const detail = `${shown}, and only a @cert-authority is listed for ${name}; host certificates are not supported`
      return failure('host_key_unknown', `${detail}, so list the key itself: ${enrolling}; ${files}`)
    }
    case 'unknown':
      return failure('host_key_unknown', `${shown}, and none is listed for ${name}; ${files}; ${enrolling}`)
    default:
      return standing satisfies never
  }
}

function filesOf({ files }: KnownHosts): string {
  return files.length === 0 ? 'no known_hosts file is configured' : `read: ${files.join(', ')}`
}

function enrol(scan: string, { name, jump }: Naming): string {
  const trust = name === undefined || jump !== undefined || !isOneHost(name) ? '' : `run "muster trust ${name}"; or `
  const compare = 'compare the fingerprint with the one on the host (ssh-keygen -lf)'
  return `${trust}run "${scan}", ${compare}, and add the line to known_hosts`
}

/** A key in the wire format begins with the name of its type. */
function typeOf(key: Buffer): string {
  const length = key.length < 4 ? 0 : key.readUInt32BE(0)
  return key.toString('latin1', 4, 4 + Math.min(length, 64)).replaceAll(/[^\w.@-]/g, '?')
}

function shortType(type: string): string {
  return type.startsWith('ecdsa') ? 'ecdsa' : type.replace('ssh-', '')
}
