/**
 * Hosts as libs/ssh takes them: each with its way and its credentials, and with the hosts to go through. Passwords are
 * read from their files each time they are needed, keys whenever their files have changed; programs that give secrets
 * are asked as often as the inventory says.
 */
import {
  type AdhocPolicy,
  type CredentialRef,
  type Hop,
  type Inventory,
  type InventoryHost,
  requestCredentials,
  wayOf,
} from '@muster/inventory'
import type { Logger } from '@muster/runtime'
import type { SshHost } from '@muster/ssh'
import { KeyFileCache } from './key-file-cache.ts'
import { type ForNamed, noteForHop, withLoginOf } from './login-of-request.ts'
import { type ProxyOptions, proxyOf } from './proxy-of-host.ts'
import { type Readers, readCredentials } from './read-credentials.ts'
import { certifyRun, type RunToCertify } from './run-certificate.ts'
import type { RunSecretSources, SecretsOfRun } from './secrets-of-run.ts'

/** What is read and made for one run. */
export type OfRun = {
  readonly secrets: SecretsOfRun
  /** What a certificate for the run says. Undefined: it is not to log in, and none is made. */
  readonly run: RunToCertify | undefined
}

/** What finding hosts needs. */
export type HostSources = {
  readonly inventory: () => Inventory
  readonly secrets: RunSecretSources
  readonly proxies: ProxyOptions
  readonly policy: AdhocPolicy
  readonly log: Logger
}

/** For hosts of the inventory, and for those to go through. */
const NOTHING: ForNamed = { connect: undefined, login: undefined }

/** Makes hosts ready to log in to. */
export class SshHosts {
  readonly #sources: HostSources
  readonly #keys: KeyFileCache

  constructor(sources: HostSources) {
    this.#sources = sources
    this.#keys = new KeyFileCache(sources.secrets.directories)
  }

  /**
   * The host and those to go through, each with credentials of its own. What the request says is for the host itself,
   * if the request names it.
   * @throws {MusterError} as `readCredentials`, `requestCredentials` and `proxyOf` do
   */
  async of(host: InventoryHost, given: ForNamed, ofRun: OfRun): Promise<SshHost> {
    const ofHost = host.isOfRequest === true ? given : NOTHING
    return await this.#behind(await this.#wayTo(host, ofHost, ofRun), host, ofHost, { ...ofRun, isJump: false })
  }

  /** The last of the hosts to go through; undefined when there are none. */
  async #wayTo(host: InventoryHost, given: ForNamed, ofRun: OfRun): Promise<SshHost | undefined> {
    const { jump, hops = [], jumpHost } = host
    const byName = jump === undefined || hops.length > 0 ? undefined : this.#sources.inventory().hosts.get(jump)
    const first = jumpHost ?? byName
    const ofHop = { ...ofRun, isJump: true }
    const noted = (hop: SshHost, isOfRequest = false): SshHost => {
      const loginNote = noteForHop(given, isOfRequest)
      return { ...hop, ...(loginNote !== undefined && { loginNote }) }
    }
    let last: SshHost | undefined
    if (first !== undefined) {
      const before = await this.#wayTo(first, given, ofRun)
      last = noted(await this.#behind(before, first, NOTHING, ofHop), first.isOfRequest)
    }
    for (const hop of hops) last = noted(await this.#withCredentials(hop, hop.credentials, last, ofHop))
    return last
  }

  async #behind(
    jump: SshHost | undefined,
    host: InventoryHost,
    given: ForNamed,
    ofRun: OfRun & { isJump: boolean },
  ): Promise<SshHost> {
    const found = await this.#withCredentials(host, await this.#refsOf(host, given), jump, ofRun)
    return host.isOfRequest === true ? this.#asRequested(host, given, found) : found
  }

  async #refsOf(host: InventoryHost, { connect, login }: ForNamed): Promise<readonly CredentialRef[]> {
    if (host.isOfRequest !== true) return host.credentials
    // Whoever brings what to log in with wants nothing else offered.
    if (login !== undefined && connect?.identity_file === undefined) return []
    const { directories, env } = this.#sources.secrets
    const { credentials } = this.#sources.inventory()
    const { home, forRequests: keyDirectories = [] } = directories
    return await requestCredentials(host, connect, {
      credentials,
      home,
      keyDirectories,
      agentSocket: env.SSH_AUTH_SOCK,
    })
  }

  async #withCredentials(
    host: Hop,
    refs: readonly CredentialRef[],
    jump: SshHost | undefined,
    { secrets, run, isJump }: OfRun & { isJump: boolean },
  ): Promise<SshHost> {
    const read: Readers['read'] = (ref, certificate) =>
      secrets.read(ref, { ...host, ...(certificate && { certificate }) })
    const readKept: Readers['readKept'] = (ref) => this.#keys.read(ref)
    const makeRunKey: Readers['makeRunKey'] = async (by) =>
      run && (await certifyRun(by, run, { ...host, isJump }, { read, readKept }))
    const { proxy: _argv, ...way } = wayOf(host)
    const proxy = await proxyOf(host, this.#sources.proxies)
    const agent = this.#sources.secrets.env.SSH_AUTH_SOCK
    const credentials = await readCredentials(refs, { agent, read, readKept, makeRunKey })
    const isForOneRun = jump?.isForOneRun === true || credentials.some(({ kind }) => kind === 'run_key')
    return {
      name: host.name,
      user: host.user,
      ...way,
      credentials,
      ...(isForOneRun && { isForOneRun }),
      ...(proxy && { proxy }),
      ...(jump && { jump }),
    }
  }

  /** A host that the request names: to where it may lead, with which key, and what the request brings to log in. */
  #asRequested(host: InventoryHost, { connect, login }: ForNamed, found: SshHost): SshHost {
    const { policy } = this.#sources
    const fingerprint = connect?.host_key
    return {
      ...found,
      refusesAddress: (address) => policy.refusesAddress(host, address),
      mustBeListed: policy.mustBeListed(host),
      ...(login && { credentials: withLoginOf(login, found.credentials) }),
      ...(fingerprint !== undefined && { pinnedKey: { fingerprint, isEnough: policy.mayBePinned(host) } }),
    }
  }
}
