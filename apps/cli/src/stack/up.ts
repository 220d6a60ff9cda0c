/** `muster up`: the embedded stack in the foreground, with a few lines about it for people. */
import { join } from 'node:path'
import { type StackOptions, startStack } from './embedded-stack.ts'

/** Starts everything and says where it is; resolves when it is up. */
export async function up(options: StackOptions): Promise<void> {
  const { dataDir, say, workerProcesses } = options
  const { url } = await startStack(options)
  say(`Muster is up: ${url} (${workerProcesses} workers)`)
  say(`API key: ${join(dataDir, 'api-key')} · API: ${url}/docs · Bull Board: ${url}/board`)
  say('Try: muster hosts, then: muster run <targets> -- uptime    (Ctrl-C stops everything)')
}
