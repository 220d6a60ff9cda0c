/**
 * One host as an SSH config has it: a `Host` of its own, or one that is only gone through. Its jump hosts are words
 * still (ssh-config-way.ts).
 */
import { existsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { CredentialRef, HostDefaults, HostDraft } from '../hosts/inventory-host.ts'
import type { ConfigLine, ReadConfig } from '../ssh-config/config-files.ts'
import { type HostOptions, readHostOptions } from '../ssh-config/host-options.ts'
import type { JumpWords } from '../ssh-config/proxy-jump.ts'
import { settle, type Wanted } from '../ssh-config/settings.ts'
import { isAddress } from './inventory-fields.ts'

/** Where hosts are looked up. */
export type ConfigSource = {
  readonly config: ReadConfig
  /** The file as it was named. */
  readonly fileName: string
  readonly defaults: HostDefaults
  readonly env: Readonly<Record<string, string | undefined>>
}

/** A host, and the hosts to go through as its config writes them, with the line where it does. */
export type FoundHost = {
  readonly host: HostDraft
  /** Whether a `Host` line that applies has its very name in it. */
  readonly isNamed: boolean
  readonly jumps: readonly JumpWords[]
  readonly jumpLine: ConfigLine | undefined
}

/** The host; without a user where nobody says who logs in. One that must not be used is disabled. */
export function lookUpHost(wanted: Wanted, { config, fileName, defaults, env }: ConfigSource): FoundHost {
  const { name } = wanted
  const { home, user: localUser, proxyPrograms = [] } = defaults
  const settings = settle(config, wanted, localUser ?? '')
  const directory = dirname(resolve(fileName))
  const options = readHostOptions(settings, { name, home, directory, env, localUser, proxyPrograms })
  const { address, port, user = '', hostKeyAlias, notTaken } = options
  const { proxy, knownHostsFiles, hostKeys, keyExchanges, connectTimeoutMs, env: variables } = options
  const fault = options.fault ?? (isAddress(address) ? undefined : 'HostName is neither a host name nor an IP address')
  const host: HostDraft = {
    name,
    aliases: [],
    address: isAddress(address) ? address : name,
    port,
    user,
    ...(hostKeyAlias !== undefined && { hostKeyAlias }),
    ...(proxy && { proxy: Object.freeze(proxy) }),
    ...(knownHostsFiles && { knownHostsFiles: Object.freeze(knownHostsFiles) }),
    ...(hostKeys && { hostKeys: Object.freeze(hostKeys) }),
    ...(keyExchanges && { keyExchanges: Object.freeze(keyExchanges) }),
    ...(connectTimeoutMs !== undefined && { connectTimeoutMs }),
    ...(variables && { env: Object.freeze(variables) }),
    labels: Object.freeze({}),
    credentials: credentialsOf(options, defaults),
    ...(notTaken.length > 0 && { notTaken: Object.freeze(notTaken.map((one) => Object.freeze(one))) }),
    ...(fault !== undefined && { disabled: fault, isFaulty: true }),
    position: { source: fileName, path: `Host ${name}` },
  }
  const jumpLine = settings.options.get('proxyjump')
  return { host, isNamed: settings.isNamed, jumps: options.jumps, jumpLine }
}

/**
 * The credentials, as in OpenSSH: the keys of the config instead of the usual ones, then the other keys of the agent,
 * unless `IdentitiesOnly` is set. A key of which neither half exists is skipped: one `Host *` often lists the keys of
 * several computers.
 */
function credentialsOf(
  { identityFiles, isIdentitiesOnly, agent }: HostOptions,
  { agentSocket, credentials: usual }: HostDefaults,
): readonly CredentialRef[] {
  if (identityFiles === undefined && !isIdentitiesOnly && agent === undefined) return usual
  const socket = agent === 'none' ? undefined : (agent?.socket ?? agentSocket)
  const held = agent === undefined ? {} : { agent: socket ?? '' }
  const isThere = (file: string) => existsSync(file) || existsSync(`${file}.pub`)
  const keys: CredentialRef[] =
    identityFiles === undefined
      ? usual.flatMap((one) => (one.kind === 'key' ? [{ ...one, ...held }] : []))
      : identityFiles
          .filter(isThere)
          .map((identityFile) => ({ kind: 'key', identityFile, isOfOpenSsh: true, ...held }) as const)
  const others: CredentialRef[] = socket === undefined || isIdentitiesOnly ? [] : [{ kind: 'agent', socket }]
  return Object.freeze([...keys, ...others].map((credential) => Object.freeze(credential)))
}
