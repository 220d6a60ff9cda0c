/**
 * The current inventory: reads all sources, checks every second whether their files have changed, and reloads.
 *
 * A new version with mistakes changes nothing: the mistakes are reported, and the last good version stays in force.
 * Files are polled, not watched: polling sees every way of replacing a file (an editor's rename, a symbolic link, a
 * network disk) alike. Environment variables are read once; a process cannot get new ones.
 */
import { readFile, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { MusterError } from '@muster/contract'
import type { HostDefaults, SourceContent } from './hosts/inventory-host.ts'
import { invalidInventory } from './hosts/mistakes.ts'
import { type Inventory, joinSources } from './inventory.ts'
import { expandHome, usualCredentials } from './sources/credentials.ts'
import { readInventoryFile } from './sources/inventory-file.ts'
import { readSshConfig } from './sources/ssh-config-source.ts'
import { readSshServers } from './sources/ssh-servers.ts'

const POLL_INTERVAL_MS = 1_000

/** A file that takes longer to read is on a dead network disk. */
const READ_TIMEOUT_MS = 10_000

/** A config that includes other files at each look changes too fast to be followed; the next look reads it again. */
const READ_ATTEMPTS = 3

/** Where the hosts come from, and the callbacks for changes. */
export type InventoryOptions = {
  /** The inventory file. It need not exist if another source has hosts. */
  readonly file: string
  /** Whether there may be no host at all, as requests may name some. Default: no. */
  readonly mayBeEmpty?: boolean
  /** Reads a file; undefined when there is none. Default: any file. */
  readonly readText?: (file: string) => Promise<string | undefined>
  /** The value of `SSH_SERVERS`. */
  readonly sshServers?: string
  /** An SSH config with hosts. Absent: none is read. */
  readonly sshConfigFile?: string
  /** The home directory that `~` stands for. */
  readonly home: string
  /** The user to log in as where neither the host nor the defaults name one. Absent: each host must have one. */
  readonly defaultUser?: string
  /** The value of `SSH_AUTH_SOCK`. Absent when there is no agent. */
  readonly agentSocket?: string
  /** The absolute paths of the programs that a ProxyCommand may run. Absent: none. */
  readonly proxyPrograms?: readonly string[]
  /** For variables in file names of the SSH config. Default: none are known. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** How often to check the files. A change counts once it has lasted for one interval. Default 1000. */
  readonly pollIntervalMs?: number
  /** Called with every new version except the first. */
  readonly onReload?: (inventory: Inventory) => void
  /** Called when a new version cannot be used; `message` holds every mistake. The last good one stays in force. */
  readonly onProblem?: (error: MusterError) => void
  /** Called once for each different warning: something was left out, or is unwise. */
  readonly warn?: (text: string) => void
}

/** The inventory of a running process. */
export type InventorySource = {
  /** The last good version. */
  current(): Inventory
  /**
   * The real directory of the file of the last good version, as it was then: a link that takes its place later counts
   * for nothing. Undefined when there is no file.
   */
  directory(): string | undefined
  /** Reads everything again now. Resolves when the new version is in force, or `onProblem` was called. */
  reload(): Promise<void>
  /** Stops checking for changes. `current` still answers. */
  close(): void
}

/**
 * Reads the inventory and keeps it up to date until it is closed.
 * @throws {MusterError} invalid_inventory when the first version cannot be used, with every mistake in the message
 */
export async function openInventory(given: InventoryOptions): Promise<InventorySource> {
  const options = {
    ...given,
    file: expandHome(given.file, given.home),
    sshConfigFile: given.sshConfigFile === undefined ? undefined : expandHome(given.sshConfigFile, given.home),
  }
  const named = [options.file, options.sshConfigFile].filter((file) => file !== undefined)
  /** Those that the SSH config includes are known once it is read. */
  let files = named
  const told = new Set<string>()
  let loadedState = ''
  let directory: string | undefined
  let isClosed = false

  async function load(): Promise<Inventory> {
    const { contents, directory: found } = await readWatched()
    const { inventory, warnings } = joinSources(contents)
    if (inventory.hosts.size === 0 && options.mayBeEmpty !== true) throw noHosts(options.file, found !== undefined)
    directory = found
    for (const warning of warnings) {
      if (!told.has(warning)) options.warn?.(warning)
      told.add(warning)
    }
    return inventory
  }

  async function readWatched(): Promise<Sources> {
    for (let attempt = 1; ; attempt += 1) {
      // Check the files before reading them: a change in between is then noticed and read.
      loadedState = await stateOf(files)
      const sources = await readSources(options, directory !== undefined)
      const watched = [...named, ...sources.included]
      const isSame = watched.join('\n') === files.join('\n')
      files = watched
      if (isSame || attempt === READ_ATTEMPTS) return sources
    }
  }

  async function replace(): Promise<void> {
    if (isClosed) return
    try {
      current = await load()
      options.onReload?.(current)
    } catch (error) {
      options.onProblem?.(asMusterError(error))
    }
  }

  let current = await load()
  let lastReload = Promise.resolve()
  const reload = () => {
    lastReload = lastReload.then(replace, replace)
    return lastReload
  }
  const stopPolling = poll(options.pollIntervalMs ?? POLL_INTERVAL_MS, async (lastState) => {
    const state = await stateOf(files)
    // A file that is being written or replaced looks different again at the next check.
    if (state !== loadedState && state === lastState) await reload()
    return state
  })
  const close = () => {
    isClosed = true
    stopPolling()
  }
  return { current: () => current, directory: () => directory, reload, close }
}

/** What was read: `included` are files and directories that the SSH config depends on. */
type Sources = { contents: SourceContent[]; directory: string | undefined; included: readonly string[] }

async function readSources(options: InventoryOptions, fileWasThere: boolean): Promise<Sources> {
  const { home, agentSocket, defaultUser: user, proxyPrograms } = options
  const credentials = await usualCredentials(home, agentSocket)
  const defaults: HostDefaults = { home, agentSocket, user, proxyPrograms, credentials }
  const contents: SourceContent[] = []
  let included: readonly string[] = []
  const directory = await realpath(dirname(options.file)).catch(() => undefined)
  // It is read by its real directory: so what counts as beside it is beside what was read.
  const file = directory === undefined ? options.file : join(directory, basename(options.file))
  const text = await readText(file, options.readText)
  if (text !== undefined) contents.push(readInventoryFile(text, options.file, defaults))
  // The hosts must not vanish because somebody moves the file away for a moment.
  else if (fileWasThere) throw unreadable(options.file, 'the file is gone')
  if (options.sshServers !== undefined) contents.push(readSshServers(options.sshServers, defaults))
  if (options.sshConfigFile !== undefined) {
    const sshConfig = await readText(options.sshConfigFile, options.readText)
    if (sshConfig === undefined) throw unreadable(options.sshConfigFile, 'there is no such file')
    const context = { defaults, env: options.env ?? {}, readText: (one: string) => textOf(one, options.readText) }
    const { files, ...content } = await readSshConfig(sshConfig, options.sshConfigFile, context)
    contents.push(content)
    included = files
  }
  return { contents, directory: text === undefined ? undefined : directory, included }
}

/** The text of a file, or undefined when there is no such file. */
async function textOf(file: string, read: InventoryOptions['readText']): Promise<string | undefined> {
  try {
    if (read !== undefined) return await read(file)
    return await readFile(file, { encoding: 'utf8', signal: AbortSignal.timeout(READ_TIMEOUT_MS) })
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** The same, with the file in the message of what goes wrong. */
async function readText(file: string, read: InventoryOptions['readText']): Promise<string | undefined> {
  try {
    return await textOf(file, read)
  } catch (error) {
    throw unreadable(file, error instanceof Error ? error.message : String(error), error)
  }
}

/** A text that differs for every version of the files. */
async function stateOf(files: readonly string[]): Promise<string> {
  const states = files.map((file) =>
    stat(file, { bigint: true }).then(
      ({ dev, ino, size, mtimeNs, ctimeNs }) => [dev, ino, size, mtimeNs, ctimeNs].join(),
      // Reading the file will tell what is wrong.
      () => 'absent',
    ),
  )
  return (await Promise.all(states)).join(' ')
}

/** Calls `look` after each interval with its last answer, never twice at once. Does not keep the process alive. */
function poll(intervalMs: number, look: (last: string) => Promise<string>): () => void {
  let isStopped = false
  let timer: NodeJS.Timeout | undefined
  const schedule = (last: string) => {
    if (isStopped) return
    timer = setTimeout(() => void look(last).then(schedule), intervalMs)
    timer.unref()
  }
  schedule('')
  return () => {
    isStopped = true
    clearTimeout(timer)
  }
}

function unreadable(file: string, why: string, cause?: unknown): MusterError {
  const { message } = invalidInventory([{ position: { source: file }, text: `cannot be read: ${why}` }])
  return new MusterError('invalid_inventory', message, { cause })
}

/** A whole inventory. */
const EXAMPLE = 'hosts: { web01: { address: 10.0.0.11 } }'

function noHosts(file: string, fileIsThere: boolean): MusterError {
  const text = fileIsThere
    ? 'names no host, and SSH_SERVERS gives none'
    : 'there is no such file, and SSH_SERVERS is not set'
  return invalidInventory([
    {
      position: { source: file },
      text: `${text}; ${fileIsThere ? 'write' : 'make it with'} a line such as ${EXAMPLE}`,
    },
  ])
}

function asMusterError(error: unknown): MusterError {
  if (error instanceof MusterError) return error
  const why = error instanceof Error ? error.message : String(error)
  return new MusterError('internal', `the inventory could not be reloaded: ${why}`, { cause: error })
}
