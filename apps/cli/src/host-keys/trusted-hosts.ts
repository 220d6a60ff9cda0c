/**
 * Which hosts `muster trust` is about, and whose known_hosts count for them: those of the person's own stack, which are
 * on this machine, or those of workers elsewhere, which nobody here can write.
 */
import { type Connect, type Host, knownHostsFiles, MusterError, parseRequestHost, SSH_PORT } from '@muster/contract'
import { parseConfig, readServerFile, type Settings } from '@muster/runtime'
import { createClient } from '../client/client.ts'
import { CliConfig } from '../client/config.ts'
import { configuredServer, findServer } from '../client/find-server.ts'
import { listHosts } from '../line/host-pages.ts'
import { withFlags } from './named-with-flags.ts'

/** A host to trust. */
export type TrustedHost = Pick<Host, 'name' | 'address' | 'port' | 'jump'> & {
  readonly hostKeyAlias?: string
  /** The files to look in, and first the one to write to. */
  readonly files: readonly [string, ...string[]]
}

/** The hosts, and the server whose workers have known_hosts of their own; undefined for the person's own stack. */
export type TrustedHosts = { readonly hosts: readonly TrustedHost[]; readonly elsewhere: string | undefined }

/**
 * The hosts that the words select, as the server knows them, with what the flags `connect` say. Without a server only
 * `user@host` can be selected, which says itself what it is.
 * @throws {Refused} when the server refuses; {MusterError} when there is no server, or nothing is selected
 */
export async function findTrustedHosts(
  words: readonly string[],
  { settings, server, connect }: { settings: Settings; server: string | undefined; connect: Connect },
): Promise<TrustedHosts> {
  const targets = withFlags(words, connect)
  const { jump } = connect
  const onTheWay = jump === undefined ? {} : { jump }
  if (targets === '') throw new MusterError('invalid_request', 'no targets given: muster trust <targets>')
  const { MUSTER_DATA_DIR: dataDir, MUSTER_KNOWN_HOSTS: setting } = parseConfig(CliConfig, settings.env)
  const { home } = settings.places
  const files = knownHostsFiles(setting, home)
  const configured = await configuredServer(settings, server)
  const local = await readServerFile(dataDir).catch(() => undefined)
  if (configured === undefined && local === undefined) {
    const hosts = targets.split(',').map((word) => ({ ...namedHost(word.trim()), ...onTheWay, files }))
    return { hosts, elsewhere: undefined }
  }
  const address = configured ?? (await findServer(settings))
  const isOwn = local?.url.replace(/\/$/, '') === address.url
  const client = createClient(address)
  const listed = await listHosts(client, targets)
  const hosts = listed.map((host) => ({ ...trustedHost(host, files, `${home}/.ssh/known_hosts`), ...onTheWay }))
  return { hosts, elsewhere: isOwn ? undefined : address.url }
}

function trustedHost(host: Host, files: TrustedHost['files'], usual: string): TrustedHost {
  const { name, address, port, jump, host_key_alias: hostKeyAlias, known_hosts_files: own } = host
  const [first, ...others] = own
  // A worker reads them in place of the user's own.
  const instead = files.filter((file) => file !== usual)
  return {
    name,
    address,
    port,
    jump,
    ...(hostKeyAlias === null ? {} : { hostKeyAlias }),
    files: first === undefined ? files : [first, ...others, ...instead],
  }
}

function namedHost(word: string): Omit<TrustedHost, 'files'> {
  const host = parseRequestHost(word)
  if (host !== undefined) return { name: word, address: host.address, port: host.port ?? SSH_PORT, jump: null }
  const what = `"${word}" is not of the form user@host or user@host:port`
  const advice = 'start one with "muster up", log in to one with "muster login", or set MUSTER_URL'
  throw new MusterError('invalid_request', `${what}, and no server runs here that could say what it is: ${advice}`)
}
