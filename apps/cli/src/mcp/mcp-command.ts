/**
 * `muster mcp`: the Model Context Protocol on standard input and output, for clients that start servers themselves.
 *
 * The tools are those of the server's `POST /mcp`; this only leads there.
 */
import type { Readable } from 'node:stream'
import { MusterError, type ToolProfile } from '@muster/contract'
import { type Life, parseConfig, type Settings } from '@muster/runtime'
import { CliConfig } from '../client/config.ts'
import { configuredServer, localKey } from '../client/find-server.ts'
import { prepareStack, stackGraceMs } from '../stack/stack-process.ts'
import { createMcpBridge } from './bridge.ts'
import { withMcpDefaults } from './defaults.ts'
import { fixedServer, localServer, noServer, type ServerFinder } from './find-server.ts'

/** The options of `muster mcp`. */
export type McpOptions = {
  readonly life: Life
  /**
   * Reads the settings.
   * @throws {MusterError} invalid_config
   */
  readonly readSettings: () => Promise<Settings>
  /** The value of `--server`. */
  readonly server: string | undefined
  /** That of `--tools`. */
  readonly profile: ToolProfile
  readonly allowInstall: boolean
  readonly stdin: Readable
  /** Writes to standard output; nothing else may. */
  readonly write: (text: string) => void
  readonly say: (line: string) => void
}

/** Starts to serve. The process ends when its standard input ends. */
export async function mcp(options: McpOptions): Promise<void> {
  const { life, profile, stdin, write, say } = options
  const servers = await openServers(options)
  const bridge = createMcpBridge({ servers, profile, write: (message) => write(`${JSON.stringify(message)}\n`), say })
  life.closers.add('requests in flight', () => bridge.end())
  stdin.on('data', (bytes: Buffer) => bridge.take(bytes))
  stdin.on('error', () => life.finish('standard input cannot be read'))
  // A file has an end and stays open; a pipe that breaks is closed without an end.
  for (const event of ['end', 'close']) stdin.once(event, () => life.finish('standard input has ended'))
  // A start takes time, so it begins before the first request. A failure is reported to the requests.
  servers.find(life.ending).catch(() => undefined)
}

async function openServers({ life, readSettings, server, allowInstall, say }: McpOptions): Promise<ServerFinder> {
  try {
    const settings = await readSettings()
    const configured = await configuredServer(settings, server)
    if (configured !== undefined) return fixedServer(configured)
    const env = withMcpDefaults(settings.env)
    const config = parseConfig(CliConfig, env)
    const stopTimeoutMs = stackGraceMs(config) + 5_000
    const stack = prepareStack({ env, allowInstall, stopTimeoutMs, say, ending: life.ending })
    life.closers.add('embedded stack', () => stack.stop(), stopTimeoutMs + 1_000)
    const options = { dataDir: config.MUSTER_DATA_DIR, apiKey: localKey(settings), advice: settings.homeNote }
    return localServer({ ...options, stack })
  } catch (error) {
    if (!(error instanceof MusterError)) throw error
    // Clients show the answers to their requests, but seldom our standard error.
    say(error.message)
    return noServer(error)
  }
}
