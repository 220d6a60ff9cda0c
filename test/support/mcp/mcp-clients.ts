/** The MCP clients that talk to a server in tests: the SDK of each generation, the newer one in each of its modes. */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { Client as LegacyClient } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as LegacyTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { onTestFinished } from 'vitest'

/** Where a server is, a key for it, and the set of tools to ask for, if not the usual one. */
export type Door = { readonly url: string; readonly key: string; readonly tools?: string }

const INFO = { name: 'test', version: '0' }

/** A client of the SDK's first line, which knows revisions up to 2025-11-25; closed when the test ends. */
export async function connectLegacySdk(door: Door): Promise<LegacyClient> {
  const client = new LegacyClient(INFO)
  await client.connect(new LegacyTransport(endpointOf(door), { requestInit: { headers: bearer(door.key) } }))
  onTestFinished(() => client.close())
  return client
}

/** A client of the SDK's second line: as it is out of the box (`legacy`), or asking what the server speaks (`auto`). */
export async function connectModernSdk(door: Door, mode: 'legacy' | 'auto'): Promise<Client> {
  const client = new Client(INFO, { versionNegotiation: { mode } })
  await client.connect(
    new StreamableHTTPClientTransport(endpointOf(door), { requestInit: { headers: bearer(door.key) } }),
  )
  onTestFinished(() => client.close())
  return client
}

/** Each of them, by what it is called in the names of tests. */
export const CLIENTS = {
  'a v1 client': connectLegacySdk,
  'a v2 client in legacy mode': (door: Door) => connectModernSdk(door, 'legacy'),
  'a v2 client in modern mode': (door: Door) => connectModernSdk(door, 'auto'),
} as const

function bearer(key: string): Record<string, string> {
  return { authorization: `Bearer ${key}` }
}

function endpointOf({ url, tools }: Door): URL {
  return new URL(`${url}/mcp${tools === undefined ? '' : `?tools=${tools}`}`)
}
