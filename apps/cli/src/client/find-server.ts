/**
 * Which server `muster` talks to, and with which key. A key that is stored, in a file of settings, with a login or in
 * a data directory, goes only to the address that it was stored with. A key in the environment goes where its person
 * says.
 */
import { join } from 'node:path'
import { MusterError } from '@muster/contract'
import { parseConfig, readServerFile, readTrustedFile, type Settings } from '@muster/runtime'
import { CliConfig } from './config.ts'
import { keyStoredWith, knownServer } from './known-servers.ts'
import { type ServerAddress, serverUrl } from './server-url.ts'

/**
 * The server to talk to and the key for it: the configured one, else the local one of the data directory.
 * @throws {MusterError} `invalid_config` when there is neither, or no key for it
 */
export async function findServer(settings: Settings, name?: string): Promise<ServerAddress> {
  return (await configuredServer(settings, name)) ?? (await localServer(settings))
}

/**
 * The server that `--server`, MUSTER_SERVER or MUSTER_URL names; undefined when none of them does.
 * @throws {MusterError} `invalid_config` when they disagree, or there is no key for it
 */
export async function configuredServer(settings: Settings, name?: string): Promise<ServerAddress | undefined> {
  const { places } = settings
  if (name !== undefined) return await knownServer(places.userStateDir, name)
  const config = parseConfig(CliConfig, settings.env)
  const { MUSTER_SERVER: preset, MUSTER_URL: address } = config
  if (preset !== undefined && address !== undefined) {
    const [ofServer, ofUrl] = [rankOf(settings, 'MUSTER_SERVER'), rankOf(settings, 'MUSTER_URL')]
    if (ofServer < ofUrl) return await knownServer(places.userStateDir, preset)
    if (ofServer === ofUrl) throw new MusterError('invalid_config', 'MUSTER_SERVER and MUSTER_URL: set one of them')
  } else if (preset !== undefined) return await knownServer(places.userStateDir, preset)
  if (address === undefined) return undefined
  const url = serverUrl(address, { source: 'MUSTER_URL', allowsHttp: config.MUSTER_ALLOW_HTTP })
  const given = isFor(settings, rankOf(settings, 'MUSTER_URL')) ? config.MUSTER_API_KEY : undefined
  if (given !== undefined) return { url, apiKey: given }
  const { key: stored, unusable } = await keyStoredWith(places.userStateDir, url)
  const apiKey = stored ?? (await keyOfLocal(config.MUSTER_DATA_DIR, url))
  if (apiKey !== undefined) return { url, apiKey }
  throw noKey(url, settings, unusable)
}

/** The configured key, if it may go to the local server. */
export function localKey(settings: Settings): string | undefined {
  const source = settings.sources[rankOf(settings, 'MUSTER_API_KEY')]
  // A file that names a server elsewhere holds the key of that server.
  if (!isFor(settings, undefined) && source?.values.MUSTER_URL) return undefined
  return parseConfig(CliConfig, settings.env).MUSTER_API_KEY
}

/**
 * The API key in the file `api-key` of a data directory; undefined when the file is missing or empty.
 * @throws {MusterError} `invalid_config` when somebody else could have written it
 */
export async function readLocalKey(dataDir: string): Promise<string | undefined> {
  return (await readTrustedFile(join(dataDir, 'api-key'), { isState: true }))?.trim() || undefined
}

async function localServer(settings: Settings): Promise<ServerAddress> {
  const { MUSTER_DATA_DIR: dataDir } = parseConfig(CliConfig, settings.env)
  const url = await localUrl(dataDir)
  const apiKey = localKey(settings) ?? (await readLocalKey(dataDir))
  if (apiKey !== undefined) return { url: url.replace(/\/$/, ''), apiKey }
  const advice = `set MUSTER_API_KEY, or MUSTER_DATA_DIR to the server's data directory (now ${dataDir})`
  throw new MusterError('invalid_config', `no API key: ${advice}`)
}

async function localUrl(dataDir: string): Promise<string> {
  try {
    return (await readServerFile(dataDir)).url
  } catch (error) {
    if (error instanceof MusterError) throw error
    const advice = 'start one with "muster up", log in to one with "muster login", or set MUSTER_URL'
    const why = `${dataDir}/server.json is missing, or was left by one that was killed`
    const detail = `no server runs here (${why}): ${advice}`
    throw new MusterError('invalid_config', detail, { cause: error })
  }
}

/** The local key, if this is the address of the local server. */
async function keyOfLocal(dataDir: string, url: string): Promise<string | undefined> {
  const local = await readServerFile(dataDir).catch(() => undefined)
  return local?.url.replace(/\/$/, '') === url ? await readLocalKey(dataDir) : undefined
}

/** The place of the first source that sets a variable; beyond the last one when none does. */
function rankOf({ sources }: Settings, name: string): number {
  const rank = sources.findIndex(({ values }) => values[name] || values[`${name}_FILE`])
  return rank === -1 ? sources.length : rank
}

/** Whether the configured key may go to an address from this source: it comes from there, or from no file. */
function isFor(settings: Settings, rank: number | undefined): boolean {
  const ofKey = rankOf(settings, 'MUSTER_API_KEY')
  return settings.sources[ofKey]?.isFile !== true || ofKey === rank
}

function noKey(url: string, settings: Settings, unusable: readonly string[]): MusterError {
  const source = settings.sources[rankOf(settings, 'MUSTER_API_KEY')]
  const other = source === undefined ? '' : ` (the one in ${source.name} was not stored with this address)`
  const advice = `set MUSTER_API_KEY beside MUSTER_URL, or log in: muster login ${url}`
  return new MusterError('invalid_config', [`no API key for ${url}${other}: ${advice}`, ...unusable].join('\n'))
}
