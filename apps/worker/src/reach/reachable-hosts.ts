/**
 * Finds everything needed to log in to a host. Passwords are read from their files each time they are needed, keys
 * whenever their files have changed; programs that give secrets are asked as often as the inventory says.
 * Only workers hold them, and send them only to the hosts they belong to.
 */
import { type Connect, type LoginSecrets, MusterError, type Reason, type TerminalRunState } from '@muster/contract'
import {
  type AdhocPolicy,
  type CredentialRef,
  certificateFileOf,
  chosenWay,
  type Hop,
  hostsOutside,
  type Inventory,
  type InventoryHost,
  type KeyContent,
  namedOnTheWay,
  readKey,
  requestCredentials,
} from '@muster/inventory'
import { checkSudoPassword, keepFiles, type SshHost, type Sudo } from '@muster/ssh'
import { CommandFailed } from './credential-command.ts'
import { withLoginOf } from './login-of-request.ts'
import { type ProxyOptions, ProxyRefused, proxyOf } from './proxy-of-host.ts'
import { type Readers, type ReadKey, readCredentials } from './read-credentials.ts'
import { certifyRun, type RunToCertify } from './run-certificate.ts'
import { type RunSecretSources, SecretsOfRun } from './secrets-of-run.ts'

/** Why a host cannot be tried at all. `isRetryable`: that may pass. */
export type NotReachable = {
  readonly state: TerminalRunState
  readonly reason: Reason
  readonly detail: string
  readonly isRetryable?: boolean
}

/** A host that can be tried, and how to use sudo there; without a password if there is none. */
export type ReachableHost = {
  readonly host: SshHost
  readonly sudo: Sudo | undefined
  /** How long to wait for it where a job does not say. */
  readonly connectTimeoutMs?: number
  /** Why some of its credentials are not there: a program that should give them failed. */
  readonly missing: readonly string[]
  /**
   * After a refusal: the host with newer secrets; undefined when there are none, so that the host must not be asked
   * again.
   */
  readonly renewed: () => Promise<ReachableHost | NotReachable | undefined>
}

/** Whom a run becomes on the host, if it does, and the password that came with its job for that. */
type WantedSudo = { readonly sudoUser: string | undefined; readonly sudoPassword: string | undefined }

/** What the request says of the hosts that it names itself: how they are reached, and what came with it to log in. */
type ForNamed = { readonly connect: Connect | undefined; readonly login: LoginSecrets | undefined }

/** What is read and made for one run. */
type OfRun = {
  readonly secrets: SecretsOfRun
  readonly run: RunToCertify | undefined
  /** Set for a host to go through. */
  readonly isJump?: true
}

/** Looks up hosts. */
export type ReachableHosts = {
  /**
   * Returns the host with its credentials, or why it cannot be tried. Without `sudoUser`, sudo is not used; a
   * `sudoPassword` goes before that of the inventory. `keyHosts` are target expressions that must all select the host
   * in the inventory of this worker, and the hosts on the way to it that the request chose. `connect` says how those
   * that it names are reached, and `login` is offered to them alone.
   */
  find(
    name: string,
    wanted: WantedSudo &
      ForNamed & {
        readonly keyHosts: readonly string[]
        /** What a certificate for the run says. Undefined: it is not to log in, and none is made. */
        readonly run: RunToCertify | undefined
        /** Stops waiting for a program that should give a secret. */
        readonly signal: AbortSignal
      },
  ): Promise<ReachableHost | NotReachable>
}

/** Looks hosts up in the current inventory, so that a reload takes effect with the next run. */
export function reachableHosts(options: {
  inventory: () => Inventory
  secrets: RunSecretSources
  proxies: ProxyOptions
  policy: AdhocPolicy
}): ReachableHosts {
  const { secrets, policy } = options
  const keys = new Map<string, () => Promise<KeyContent>>()
  const readKept: ReadKey = (ref) => {
    const { identityFile: file, isOfOpenSsh = false, isOfRequest = false, certificateFile = '' } = ref
    // What one may read, the other may not.
    const name = JSON.stringify([isOfOpenSsh, isOfRequest, file, certificateFile])
    const files = [file, `${file}.pub`, certificateFileOf(ref)]
    const read = keys.get(name) ?? keepFiles(files, () => readKey(ref, secrets.directories))
    keys.set(name, read)
    return read()
  }
  const refsOf = async (host: InventoryHost, { connect, login }: ForNamed) => {
    if (host.isOfRequest !== true) return host.credentials
    // Whoever brings what to log in with wants nothing else offered.
    if (login !== undefined && connect?.identity_file === undefined) return []
    const { home, forRequests: keyDirectories = [] } = secrets.directories
    const { credentials } = options.inventory()
    const agentSocket = secrets.env.SSH_AUTH_SOCK
    return await requestCredentials(host, connect, { credentials, home, keyDirectories, agentSocket })
  }
  const toSshHost = async (
    host: Hop,
    refs: readonly CredentialRef[],
    jump: SshHost | undefined,
    ofRun: OfRun,
  ): Promise<SshHost> => {
    const read: Readers['read'] = (ref, certificate) => {
      return ofRun.secrets.read(ref, { ...host, ...(certificate && { certificate }) })
    }
    const makeRunKey: Readers['makeRunKey'] = async (by) =>
      ofRun.run && (await certifyRun(by, ofRun.run, { ...host, isJump: ofRun.isJump === true }, { read, readKept }))
    const readers = { agent: secrets.env.SSH_AUTH_SOCK, read, readKept, makeRunKey }
    const proxy = await proxyOf(host, options.proxies)
    const credentials = await readCredentials(refs, readers)
    const isForOneRun = jump?.isForOneRun === true || credentials.some(({ kind }) => kind === 'run_key')
    return {
      name: host.name,
      address: host.address,
      port: host.port,
      user: host.user,
      credentials,
      ...(isForOneRun && { isForOneRun }),
      ...(host.hostKeyAlias === undefined ? {} : { hostKeyAlias: host.hostKeyAlias }),
      ...(host.algorithms === undefined ? {} : { algorithms: host.algorithms }),
      ...(host.knownHostsFiles && { knownHostsFiles: host.knownHostsFiles }),
      ...(host.hostKeys && { hostKeys: host.hostKeys }),
      ...(host.keyExchanges && { keyExchanges: host.keyExchanges }),
      ...(proxy && { proxy }),
      ...(jump === undefined ? {} : { jump }),
    }
  }
  const asRequested = (host: InventoryHost, { connect, login }: ForNamed, found: SshHost) => {
    if (host.isOfRequest !== true) return {}
    const fingerprint = connect?.host_key
    return {
      refusesAddress: (address: string) => policy.refusesAddress(host, address),
      ...(login !== undefined && { credentials: withLoginOf(login, found.credentials) }),
      ...(fingerprint === undefined ? {} : { pinnedKey: { fingerprint, isEnough: policy.mayBePinned(host) } }),
    }
  }
  /** The host and those to go through, each with credentials of its own. */
  const withWay = async (host: InventoryHost, given: ForNamed, ofRun: OfRun): Promise<SshHost> => {
    const { jump, hops = [], jumpHost } = host
    const known = jumpHost ?? (jump === undefined || hops.length > 0 ? undefined : options.inventory().hosts.get(jump))
    const ofHop: OfRun = { ...ofRun, isJump: true }
    // What the request says is for the host itself.
    let last = known && (await withWay(known, { connect: undefined, login: undefined }, ofHop))
    for (const hop of hops) last = await toSshHost(hop, hop.credentials, last, ofHop)
    const found = await toSshHost(host, await refsOf(host, given), last, ofRun)
    return { ...found, ...asRequested(host, given, found) }
  }
  const reachable = async (
    host: InventoryHost,
    wanted: WantedSudo & ForNamed,
    ofRun: OfRun,
  ): Promise<ReachableHost | NotReachable> => {
    const { sudoUser: user, sudoPassword } = wanted
    const renewed = async () => ((await ofRun.secrets.renew()) ? await reachable(host, wanted, ofRun) : undefined)
    let phase: Omit<NotReachable, 'detail'> = { state: 'unreachable', reason: 'auth_failed' }
    try {
      const { env, connectTimeoutMs } = host
      const sshHost = { ...(await withWay(host, wanted, ofRun)), ...(env && { env }) }
      const limit = connectTimeoutMs === undefined ? {} : { connectTimeoutMs }
      const found = { host: sshHost, missing: ofRun.secrets.failures, renewed, ...limit }
      if (user === undefined) return { ...found, sudo: undefined }
      if (sudoPassword !== undefined) return { ...found, sudo: { user, password: sudoPassword } }
      if (host.sudoPassword === undefined) return { ...found, sudo: { user } }
      phase = { state: 'failed', reason: 'sudo_password_required' }
      const password = await ofRun.secrets.read(host.sudoPassword, host)
      checkSudoPassword(password)
      return { ...found, sudo: { user, password } }
    } catch (error) {
      if (!(error instanceof MusterError)) throw error
      if (error instanceof ProxyRefused) phase = { state: 'unreachable', reason: 'jump_failed' }
      return { ...phase, detail: error.message, isRetryable: error instanceof CommandFailed }
    }
  }
  return {
    find: async (name, { keyHosts, run, signal, ...wanted }) => {
      const inventory = options.inventory()
      const host = findHost(inventory, name, wanted.connect)
      if (host instanceof MusterError) return { state: 'skipped', reason: 'policy_denied', detail: host.message }
      if (host === undefined) {
        return { state: 'skipped', reason: 'host_disabled', detail: `${name} is not in the inventory of this worker` }
      }
      for (const one of namedOnTheWay(host)) {
        const refusal = policy.refusesHost(one)
        if (refusal === undefined) continue
        return { state: 'skipped', reason: 'policy_denied', detail: `${one.name}: ${refusal} (on this worker)` }
      }
      const touched = [host, ...chosenWay(host)].map((one) => one.name)
      if (hostsOutside(inventory, keyHosts, touched).length > 0) {
        const detail = `by the inventory of this worker, the API key of the job may not touch ${name}`
        return { state: 'skipped', reason: 'policy_denied', detail }
      }
      if (host.disabled !== undefined) {
        const detail = `disabled in the inventory: ${host.disabled}`
        return { state: 'skipped', reason: 'host_disabled', detail }
      }
      return await reachable(host, wanted, { secrets: new SecretsOfRun(secrets, signal), run })
    },
  }
}

/** The host; or why a host that the request names contradicts the inventory of this worker. */
function findHost(
  inventory: Inventory,
  name: string,
  connect: Connect | undefined,
): InventoryHost | MusterError | undefined {
  try {
    return inventory.find(name, connect)
  } catch (error) {
    if (error instanceof MusterError) return error
    throw error
  }
}
