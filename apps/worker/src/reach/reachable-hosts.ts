/**
 * Finds everything needed to log in to a host. Passwords are read from their files each time they are needed, keys
 * whenever their files have changed. Only workers hold them, and send them only to the hosts they belong to.
 */
import { readFile } from 'node:fs/promises'
import { MusterError, type Reason, type TerminalRunState } from '@muster/contract'
import { type CredentialRef, type Inventory, type InventoryHost, readSecret } from '@muster/inventory'
import { type Credential, checkSudoPassword, keepFiles, type SshHost, type Sudo } from '@muster/ssh'

/** Why a host cannot be tried at all. */
type NotReachable = { readonly state: TerminalRunState; readonly reason: Reason; readonly detail: string }

/** A host that can be tried, and how to use sudo there; without a password if the inventory names none. */
type ReachableHost = { readonly host: SshHost; readonly sudo: Sudo | undefined }

/**
 * What a key file and the `.pub` beside it hold now.
 * @throws {MusterError} invalid_inventory when neither can be read
 */
type ReadKey = (file: string) => Promise<KeyContent>

/** If only an agent holds the private key, `pem` is the public half and `publicHalf` is absent. */
type KeyContent = { readonly pem: Buffer; readonly publicHalf?: Buffer }

/** Looks up hosts. */
export type ReachableHosts = {
  /** Returns the host with its credentials, or why it cannot be tried. Without `sudoUser`, sudo is not used. */
  find(name: string, wanted: { readonly sudoUser: string | undefined }): Promise<ReachableHost | NotReachable>
}

/** Looks hosts up in the current inventory, so that a reload takes effect with the next run. */
export function reachableHosts(options: {
  inventory: () => Inventory
  env: Record<string, string | undefined>
}): ReachableHosts {
  const keys = new Map<string, () => Promise<KeyContent>>()
  const readKey: ReadKey = (file) => {
    const read = keys.get(file) ?? keepFiles([file, `${file}.pub`], () => readKeyFiles(file))
    keys.set(file, read)
    return read()
  }
  const toSshHost = async (host: InventoryHost): Promise<SshHost> => {
    const credentials = await readCredentials(host.credentials, options.env, readKey)
    const jump = host.jump === undefined ? undefined : options.inventory().hosts.get(host.jump)
    return {
      name: host.name,
      address: host.address,
      port: host.port,
      user: host.user,
      credentials,
      ...(host.hostKeyAlias === undefined ? {} : { hostKeyAlias: host.hostKeyAlias }),
      ...(host.algorithms === undefined ? {} : { algorithms: host.algorithms }),
      ...(jump === undefined ? {} : { jump: await toSshHost(jump) }),
    }
  }
  return {
    find: async (name, { sudoUser: user }) => {
      const host = options.inventory().find(name)
      if (host === undefined) {
        return { state: 'skipped', reason: 'host_disabled', detail: `${name} is not in the inventory of this worker` }
      }
      if (host.disabled !== undefined) {
        const detail = `disabled in the inventory: ${host.disabled}`
        return { state: 'skipped', reason: 'host_disabled', detail }
      }
      let phase: Omit<NotReachable, 'detail'> = { state: 'unreachable', reason: 'auth_failed' }
      try {
        const sshHost = await toSshHost(host)
        if (user === undefined) return { host: sshHost, sudo: undefined }
        if (host.sudoPassword === undefined) return { host: sshHost, sudo: { user } }
        phase = { state: 'failed', reason: 'sudo_password_required' }
        const password = await readSecret(host.sudoPassword, { env: options.env })
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
 * All credentials that can be read. One unreadable file does not stop the others.
 * @throws {MusterError} invalid_inventory, invalid_config: none can be read
 */
async function readCredentials(
  refs: readonly CredentialRef[],
  env: Record<string, string | undefined>,
  readKey: ReadKey,
): Promise<Credential[]> {
  const results = await Promise.allSettled(refs.map((ref) => readCredential(ref, env, readKey)))
  const credentials = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const failure = results.find((result) => result.status === 'rejected')
  if (credentials.length === 0 && failure !== undefined) throw failure.reason
  return credentials
}

async function readCredential(
  ref: CredentialRef,
  env: Record<string, string | undefined>,
  readKey: ReadKey,
): Promise<Credential> {
  switch (ref.kind) {
    case 'agent':
      return { kind: 'agent', socket: ref.socket ?? env.SSH_AUTH_SOCK ?? '' }
    case 'password':
      return { kind: 'password', password: await readSecret(ref.secret, { env }) }
    case 'key': {
      const key = { kind: 'key', source: ref.identityFile, ...(await readKey(ref.identityFile)) } as const
      const held = env.SSH_AUTH_SOCK === undefined ? key : { ...key, agent: env.SSH_AUTH_SOCK }
      return ref.passphrase === undefined ? held : { ...held, passphrase: await readSecret(ref.passphrase, { env }) }
    }
    default:
      return ref satisfies never
  }
}

async function readKeyFiles(file: string): Promise<KeyContent> {
  const [own, besides] = await Promise.allSettled([readFile(file), readFile(`${file}.pub`)])
  if (own.status === 'fulfilled') {
    return { pem: own.value, ...(besides.status === 'fulfilled' && { publicHalf: besides.value }) }
  }
  if (besides.status === 'fulfilled') return { pem: besides.value }
  const cause: unknown = own.reason
  const why = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown error'
  throw new MusterError('invalid_inventory', `the key file ${file} cannot be read by the worker: ${why}`, { cause })
}
