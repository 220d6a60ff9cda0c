/**
 * Finds everything needed to log in to a host. Passwords are read from their files each time they are needed, keys
 * whenever their files have changed. Only workers hold them, and send them only to the hosts they belong to.
 */
import { MusterError, type Reason, type TerminalRunState } from '@muster/contract'
import {
  type CredentialRef,
  type Hop,
  hostsOutside,
  type Inventory,
  type InventoryHost,
  type KeyContent,
  type KeyRef,
  ownAgent,
  readKey,
  readSecret,
  SecretRefused,
  type SecretSources,
} from '@muster/inventory'
import { type Credential, checkSudoPassword, keepFiles, type SshHost, type Sudo } from '@muster/ssh'

/** Why a host cannot be tried at all. */
type NotReachable = { readonly state: TerminalRunState; readonly reason: Reason; readonly detail: string }

/** A host that can be tried, and how to use sudo there; without a password if there is none. */
type ReachableHost = { readonly host: SshHost; readonly sudo: Sudo | undefined }

type ReadKey = (ref: KeyRef) => Promise<KeyContent>

/** Looks up hosts. */
export type ReachableHosts = {
  /**
   * Returns the host with its credentials, or why it cannot be tried. Without `sudoUser`, sudo is not used; a
   * `sudoPassword` goes before that of the inventory. `keyHosts` are target expressions that must all select the host
   * in the inventory of this worker.
   */
  find(
    name: string,
    wanted: {
      readonly sudoUser: string | undefined
      readonly sudoPassword: string | undefined
      readonly keyHosts: readonly string[]
    },
  ): Promise<ReachableHost | NotReachable>
}

/** Looks hosts up in the current inventory, so that a reload takes effect with the next run. */
export function reachableHosts(options: { inventory: () => Inventory; secrets: SecretSources }): ReachableHosts {
  const { secrets } = options
  const keys = new Map<string, () => Promise<KeyContent>>()
  const readKept: ReadKey = (ref) => {
    const { identityFile: file, isOfOpenSsh = false } = ref
    const name = `${isOfOpenSsh} ${file}`
    const read = keys.get(name) ?? keepFiles([file, `${file}.pub`], () => readKey(ref, secrets.directories))
    keys.set(name, read)
    return read()
  }
  const toSshHost = async (host: Hop, jump: SshHost | undefined): Promise<SshHost> => {
    const credentials = await readCredentials(host.credentials, secrets, readKept)
    return {
      name: host.name,
      address: host.address,
      port: host.port,
      user: host.user,
      credentials,
      ...(host.hostKeyAlias === undefined ? {} : { hostKeyAlias: host.hostKeyAlias }),
      ...(host.algorithms === undefined ? {} : { algorithms: host.algorithms }),
      ...(jump === undefined ? {} : { jump }),
    }
  }
  /** The host and those to go through, each with credentials of its own. */
  const withWay = async (host: InventoryHost): Promise<SshHost> => {
    const { jump, hops } = host
    if (hops === undefined) {
      const known = jump === undefined ? undefined : options.inventory().hosts.get(jump)
      return await toSshHost(host, known && (await withWay(known)))
    }
    let last: SshHost | undefined
    for (const hop of hops) last = await toSshHost(hop, last)
    return await toSshHost(host, last)
  }
  return {
    find: async (name, { sudoUser: user, sudoPassword, keyHosts }) => {
      const inventory = options.inventory()
      const host = inventory.find(name)
      if (host === undefined) {
        return { state: 'skipped', reason: 'host_disabled', detail: `${name} is not in the inventory of this worker` }
      }
      if (hostsOutside(inventory, keyHosts, [host.name]).length > 0) {
        const detail = `by the inventory of this worker, the API key of the job may not touch ${name}`
        return { state: 'skipped', reason: 'policy_denied', detail }
      }
      if (host.disabled !== undefined) {
        const detail = `disabled in the inventory: ${host.disabled}`
        return { state: 'skipped', reason: 'host_disabled', detail }
      }
      let phase: Omit<NotReachable, 'detail'> = { state: 'unreachable', reason: 'auth_failed' }
      try {
        const sshHost = await withWay(host)
        if (user === undefined) return { host: sshHost, sudo: undefined }
        if (sudoPassword !== undefined) return { host: sshHost, sudo: { user, password: sudoPassword } }
        if (host.sudoPassword === undefined) return { host: sshHost, sudo: { user } }
        phase = { state: 'failed', reason: 'sudo_password_required' }
        const password = await readSecret(host.sudoPassword, secrets)
        checkSudoPassword(password)
        return { host: sshHost, sudo: { user, password } }
      } catch (error) {
        if (!(error instanceof MusterError)) throw error
        return { ...phase, detail: error.message }
      }
    },
  }
}

/**
 * All credentials that can be read. One unreadable file does not stop the others; one that is refused does, as the
 * inventory names what it must not.
 * @throws {MusterError} invalid_inventory, invalid_config: none can be read, or one is refused
 */
async function readCredentials(
  refs: readonly CredentialRef[],
  secrets: SecretSources,
  readKept: ReadKey,
): Promise<Credential[]> {
  const results = await Promise.allSettled(refs.map((ref) => readCredential(ref, secrets, readKept)))
  const credentials = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const failures = results.flatMap((result): unknown[] => (result.status === 'rejected' ? [result.reason] : []))
  const refusal = failures.find((reason) => reason instanceof SecretRefused)
  if (refusal !== undefined) throw refusal
  if (credentials.length === 0 && failures.length > 0) throw failures[0]
  return credentials
}

async function readCredential(ref: CredentialRef, secrets: SecretSources, readKept: ReadKey): Promise<Credential> {
  const own = secrets.env.SSH_AUTH_SOCK
  switch (ref.kind) {
    case 'agent':
      return { kind: 'agent', socket: await ownAgent(ref.socket ?? own ?? '', own) }
    case 'password':
      return { kind: 'password', password: await readSecret(ref.secret, secrets) }
    case 'key': {
      const key = { kind: 'key', source: ref.identityFile, ...(await readKept(ref)) } as const
      const agent = ref.agent ?? own ?? ''
      const held = agent === '' ? key : { ...key, agent: await ownAgent(agent, own) }
      return ref.passphrase === undefined ? held : { ...held, passphrase: await readSecret(ref.passphrase, secrets) }
    }
    default:
      return ref satisfies never
  }
}
