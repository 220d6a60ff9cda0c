/**
 * The MCP clients that start `muster mcp` themselves: the SDK of each generation, the newer one in each of its modes.
 */
import { Client } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { Client as LegacyClient } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport as LegacyTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { onTestFinished } from 'vitest'
import { apart } from '../runtime/apart.ts'
import { type Env, MUSTER } from './mcp-stdio.ts'

const INFO = { name: 'test', version: '0' }

/** A client of the older SDK; it and what it started end with the test. `args` are those of `muster mcp`. */
async function connectLegacySdk(env: Env, ...args: string[]): Promise<LegacyClient> {
  const client = new LegacyClient(INFO)
  onTestFinished(() => client.close())
  await client.connect(new LegacyTransport(startOf(env, args)))
  return client
}

/** A client of the newer SDK; `auto` asks which generation the server speaks. */
export async function connectModernSdk(env: Env, mode: 'legacy' | 'auto', ...args: string[]): Promise<Client> {
  const client = new Client(INFO, { versionNegotiation: { mode } })
  onTestFinished(() => client.close())
  await client.connect(new StdioClientTransport(startOf(env, args)))
  return client
}

/** Each of them, by what it is called in the names of tests. */
export const STDIO_CLIENTS = {
  'a v1 client': connectLegacySdk,
  'a v2 client in legacy mode': (env: Env, ...args: string[]) => connectModernSdk(env, 'legacy', ...args),
  'a v2 client in modern mode': (env: Env, ...args: string[]) => connectModernSdk(env, 'auto', ...args),
} as const

function startOf(env: Env, args: readonly string[]) {
  const set = Object.entries(apart(env)).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  )
  const stderr = 'ignore' as const
  return { command: process.execPath, args: [MUSTER, 'mcp', ...args], cwd: '/', stderr, env: Object.fromEntries(set) }
}
