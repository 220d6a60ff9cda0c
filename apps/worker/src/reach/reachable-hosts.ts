/**
 * Finds everything needed to log in to a host and to use sudo there, or says why it must not be tried. Only workers
 * hold secrets, and send them only to the hosts they belong to.
 */
import { type Connect, MusterError, type Reason, type TerminalRunState } from '@muster/contract'
import {
  chosenWay,
  hostsOutside,
  type Inventory,
  type InventoryHost,
  namedOnTheWay,
  requestSudoPassword,
  type SecretRef,
  SecretRefused,
} from '@muster/inventory'
import { checkSudoPassword, type SshHost, type Sudo } from '@muster/ssh'
import { CommandFailed } from './credential-command.ts'
import type { ForNamed } from './login-of-request.ts'
import { ProxyRefused } from './proxy-of-host.ts'
import { SecretsOfRun } from './secrets-of-run.ts'
import { type HostSources, type OfRun, SshHosts } from './ssh-hosts.ts'

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

/** What is wanted of a host. */
type Wanted = WantedSudo &
  ForNamed &
  Pick<OfRun, 'run'> & {
    /** Target expressions that must all select the host in the inventory of this worker, and the chosen way to it. */
    readonly keyHosts: readonly string[]
    /** Stops waiting for a program that should give a secret. */
    readonly signal: AbortSignal
  }

/** Looks hosts up in the current inventory, so that a reload takes effect with the next run. */
export class ReachableHosts {
  readonly #sources: HostSources
  readonly #sshHosts: SshHosts

  constructor(sources: HostSources) {
    this.#sources = sources
    this.#sshHosts = new SshHosts(sources)
  }

  /**
   * Returns the host with its credentials, or why it cannot be tried. Without `sudoUser`, sudo is not used; a
   * `sudoPassword` goes before that of the inventory. `connect` says how the hosts are reached that the request names
   * itself, and `login` is offered to them alone.
   */
  async find(name: string, { keyHosts, run, signal, ...wanted }: Wanted): Promise<ReachableHost | NotReachable> {
    const { inventory, secrets } = this.#sources
    const host = findHost(inventory(), name, wanted.connect)
    if ('reason' in host) return host
    const refusal = this.#refusalOf(host, keyHosts)
    return refusal ?? (await this.#reachable(host, wanted, { secrets: new SecretsOfRun(secrets, signal), run }))
  }

  /** Why no run may go there, however it logs in. */
  #refusalOf(host: InventoryHost, keyHosts: readonly string[]): NotReachable | undefined {
    const { inventory, policy } = this.#sources
    for (const one of namedOnTheWay(host)) {
      const refusal = policy.refusesHost(one)
      if (refusal !== undefined) return skipped('policy_denied', `${one.name}: ${refusal} (on this worker)`)
    }
    const touched = [host, ...chosenWay(host)].map((one) => one.name)
    if (hostsOutside(inventory(), keyHosts, touched).length > 0) {
      const why = `by the inventory of this worker, the API key of the job may not touch ${host.name}`
      return skipped('policy_denied', why)
    }
    if (host.disabled === undefined) return undefined
    return skipped('host_disabled', `disabled in the inventory: ${host.disabled}`)
  }

  async #reachable(
    host: InventoryHost,
    wanted: WantedSudo & ForNamed,
    ofRun: OfRun,
  ): Promise<ReachableHost | NotReachable> {
    const renewed = async () => ((await ofRun.secrets.renew()) ? await this.#reachable(host, wanted, ofRun) : undefined)
    const { env, connectTimeoutMs } = host
    try {
      const sshHost = await this.#sshHosts.of(host, wanted, ofRun)
      const sudo = await sudoOf(host, { ...wanted, kept: this.#sudoPasswordOf(host, wanted) }, ofRun)
      if (sudo !== undefined && 'reason' in sudo) return sudo
      return {
        host: { ...sshHost, ...(env && { env }) },
        sudo,
        ...(connectTimeoutMs !== undefined && { connectTimeoutMs }),
        missing: ofRun.secrets.failures,
        renewed,
      }
    } catch (error) {
      if (error instanceof SecretRefused && error.cause instanceof Error) {
        const why = error.cause.message
        this.#sources.log.warn({ host: host.name, why }, 'a key file that a request names is not used')
      }
      return notThere('unreachable', error instanceof ProxyRefused ? 'jump_failed' : 'auth_failed', error)
    }
  }

  /** Where the password of the user for sudo is. Whoever brings what to log in with wants no other secret used. */
  #sudoPasswordOf(host: InventoryHost, { connect, login }: ForNamed): SecretRef | undefined {
    if (host.isOfRequest !== true) return host.sudoPassword
    return login === undefined ? requestSudoPassword(host, connect, this.#sources.inventory()) : undefined
  }
}

/** How the run uses sudo; undefined when it does not. */
async function sudoOf(
  host: InventoryHost,
  { sudoUser: user, sudoPassword, kept }: WantedSudo & { readonly kept: SecretRef | undefined },
  { secrets }: OfRun,
): Promise<Sudo | NotReachable | undefined> {
  if (user === undefined) return undefined
  if (sudoPassword !== undefined) return { user, password: sudoPassword }
  if (kept === undefined) return { user }
  try {
    const password = await secrets.read(kept, host)
    checkSudoPassword(password)
    return { user, password }
  } catch (error) {
    return notThere('failed', 'sudo_password_required', error)
  }
}

/** The host; or why there is none, or why one that the request names contradicts the inventory of this worker. */
function findHost(inventory: Inventory, name: string, connect: Connect | undefined): InventoryHost | NotReachable {
  try {
    const found = inventory.find(name, connect)
    return found ?? skipped('host_disabled', `${name} is not in the inventory of this worker`)
  } catch (error) {
    if (error instanceof MusterError) return skipped('policy_denied', error.message)
    throw error
  }
}

function skipped(reason: Reason, detail: string): NotReachable {
  return { state: 'skipped', reason, detail }
}

/** Something without which the host is not tried. */
function notThere(state: TerminalRunState, reason: Reason, error: unknown): NotReachable {
  if (!(error instanceof MusterError)) throw error
  return { state, reason, detail: error.message, isRetryable: error instanceof CommandFailed }
}
