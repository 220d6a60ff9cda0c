/**
 * The directories that secret files may lie in, and where a reference really leads. An inventory may come from
 * somebody else; without these bounds it could have any file of the worker sent to a host of its own as a password.
 *
 * Compares real paths only: links may lead anywhere inside the directories, and `..` counts as it is resolved. Reads no
 * file.
 */
import { lstat, readlink } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import { shellWord } from '@muster/contract'

/**
 * What a file is for: a key is not sent to a host, so it may also lie in `~/.ssh`. One that a request names may only
 * lie where an operator says so.
 */
export type Use = 'secret' | 'key' | 'key of a request'

/**
 * How much is asked of a file, by its directory. `own`: what OpenSSH asks of a private key, and of what leads to it.
 * `named` (`MUSTER_SECRET_DIRS`) and `mounted`: what orchestrators mount is often readable by all.
 */
type Trust = 'own' | 'named' | 'mounted'

/** Where secrets may lie. */
export type SecretDirectories = {
  /** The home of the worker's user. */
  readonly home: string
  /** Directories that a person named, as absolute paths. */
  readonly named: readonly string[]
  /** Directories of keys that requests may name, as absolute paths. Absent: none. */
  readonly forRequests?: readonly string[]
  /** The real directory of the inventory file in force. Undefined when there is none. */
  readonly inventory: () => string | undefined
}

/**
 * A directory by its real path, with the directories of the links that led to it. `holds` says whether a file in it, by
 * its path from there, may be used.
 */
export type SecretDirectory = {
  readonly path: string
  readonly through: readonly string[]
  readonly trust: Trust
  readonly holds: (path: readonly string[]) => boolean
}

/** Where Docker, Podman and Kubernetes mount secrets. */
const MOUNTS = ['/run/secrets', '/var/run/secrets']

/** What platforms put there for a container's own identity: no password of a host. */
const PLATFORM_SECRETS = new Set(['kubernetes.io', 'eks.amazonaws.com', 'azure', 'tokens', 'rhsm'])

/** What lies beside an inventory and holds Muster's keys and the passwords of all hosts. */
const OWN_SETTINGS = new Set(['muster.env', '.env', '.muster'])

/** Directories that hold much besides an inventory that lies in them. */
const SHARED = ['/', '/etc', '/run', '/usr', '/var']

/** More links than any path has; Linux follows 40. */
const LINKS_LIMIT = 40

/** The directories as they are now. A named one comes before a usual one. */
export async function directoriesFor(directories: SecretDirectories, use: Use): Promise<SecretDirectory[]> {
  const { named, home, inventory, forRequests = [] } = directories
  if (use === 'key of a request') {
    const trustOf = (path: string) => (path === join(home, '.ssh') ? 'own' : 'named')
    const found = await Promise.all(forRequests.map((path) => directoryAt(path, trustOf(path))))
    return found.filter((one) => one !== undefined)
  }
  const own = inventory()
  const found = [
    ...named.map((path) => directoryAt(path, 'named')),
    ...(use === 'key' ? [directoryAt(join(home, '.ssh'), 'own')] : []),
    // It is real already. What has taken its place since is another directory.
    ...(own === undefined ? [] : ownDirectory(own, (await whereItLeads(home))?.file ?? home)),
    ...MOUNTS.map((path) => directoryAt(path, 'mounted', isForHosts)),
  ]
  return (await Promise.all(found)).filter((one) => one !== undefined)
}

async function directoryAt(
  path: string,
  trust: Trust,
  holds: SecretDirectory['holds'] = () => true,
): Promise<SecretDirectory | undefined> {
  const way = await whereItLeads(path)
  return way === undefined ? undefined : { path: way.file, through: way.through, trust, holds }
}

/**
 * Whether a request may have this path looked at: it is written as one in a directory of keys for requests. Anything
 * else could be a disk that does not answer, or tell what there is.
 */
export function isForRequests(path: string, { forRequests = [] }: SecretDirectories): boolean {
  return forRequests.some((directory) => partsBelow(directory, resolve(path)) !== undefined)
}

/** The directories as a person would name them, for error texts. */
export function namesOf({ home, named, inventory, forRequests = [] }: SecretDirectories, use: Use): string[] {
  if (use === 'key of a request') return forRequests.map(shown)
  const read = inventory()
  const own = read === undefined ? [] : ownDirectory(read, home).map(({ path }) => shown(path))
  return [...own, ...(use === 'key' ? ['~/.ssh'] : []), ...named.map(shown), ...MOUNTS.slice(0, 1)]
}

/** The path as a shell takes it, and without control characters. */
export function shown(path: string): string {
  return /\p{Cc}/u.test(path) ? JSON.stringify(path) : shellWord(path)
}

/**
 * The first of the directories that holds the file with this real path. Undefined when it lies in none; `foreign` when
 * it lies in one, but is there for another program.
 */
export function directoryOf(
  file: string,
  directories: readonly SecretDirectory[],
): SecretDirectory | 'foreign' | undefined {
  const around = directories.flatMap((within) => {
    const below = partsBelow(within.path, file)
    return below === undefined ? [] : [{ within, isHeld: within.holds(below) }]
  })
  return around.find(({ isHeld }) => isHeld)?.within ?? (around.length > 0 ? 'foreign' : undefined)
}

/** The path of a file from a directory that it is in; undefined when it is not. */
function partsBelow(directory: string, file: string): readonly string[] | undefined {
  const below = relative(directory, file).split('/')
  return below[0] === '' || below[0] === '..' ? undefined : below
}

/** Where a path leads, and the directories on the way whose links were followed; all are real paths. */
export type Way = { readonly file: string; readonly through: readonly string[] }

/**
 * Follows all links of an absolute path as the system would, also where it ends at nothing or cannot be followed: then
 * the answer is where it would end. So nobody learns from it which files exist. Undefined for a circle.
 */
export async function whereItLeads(path: string): Promise<Way | undefined> {
  const through = new Set<string>()
  const ahead = partsOf(path)
  let file = '/'
  let links = 0
  for (let part = ahead.shift(); part !== undefined; part = ahead.shift()) {
    if (part === '..') {
      file = dirname(file)
      continue
    }
    const next = join(file, part)
    const target = await targetOf(next)
    if (target === undefined) {
      file = next
      continue
    }
    links += 1
    if (links > LINKS_LIMIT) return undefined
    through.add(file)
    if (target.startsWith('/')) file = '/'
    ahead.unshift(...partsOf(target))
  }
  return { file, through: [...through] }
}

/** Where a link points; undefined for anything else. To look first is cheaper than the error of a file. */
async function targetOf(path: string): Promise<string | undefined> {
  try {
    return (await lstat(path)).isSymbolicLink() ? await readlink(path) : undefined
  } catch {
    // The way goes on as if it were there; to open the file tells what is wrong.
    return undefined
  }
}

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.')
}

function ownDirectory(directory: string, home: string): SecretDirectory[] {
  const isAboveHome = home !== directory && !relative(directory, home).startsWith('..')
  if (isAboveHome || SHARED.includes(directory) || directory === join(home, '.config')) return []
  // Beside an inventory in the home directory lie the credentials of other programs, all of them hidden.
  const isForeign = (path: readonly string[]) => directory === home && path.some((part) => part.startsWith('.'))
  const holds: SecretDirectory['holds'] = (path) => !OWN_SETTINGS.has(path[0] ?? '') && !isForeign(path)
  return [{ path: directory, through: [], trust: 'own', holds }]
}

function isForHosts([first = '']: readonly string[]): boolean {
  return !PLATFORM_SECRETS.has(first)
}
