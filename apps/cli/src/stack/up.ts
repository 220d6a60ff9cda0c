/** `muster up`: the embedded stack in the foreground, and what a person is told of it. */
import { join } from 'node:path'
import { type StackOptions, startStack } from './embedded-stack.ts'

/** Starts everything; resolves when it is up. */
export async function up(options: StackOptions): Promise<void> {
  const { dataDir, say, workerProcesses } = options
  const { url } = await startStack(options)
  say(`Muster is up: ${url} (${workerProcesses} workers)`)
  say(`API key: ${join(dataDir, 'api-key')} · API: ${url}/docs · Bull Board: ${url}/board`)
  say('Try: muster hosts, then: muster run <targets> -- uptime    (Ctrl-C stops everything)')
}
