/** The whole story over HTTP, with real hosts and workers, through every kind of MCP client. */
import { expect, test } from 'vitest'
import { CLIENTS, connectModernSdk } from '../../support/mcp/mcp-clients.ts'
import { runStory } from '../../support/mcp/mcp-story.ts'
import { fleetFiles } from '../../support/stack/fleet-files.ts'
import { startStack } from '../../support/stack/stack.ts'

test.each(Object.entries(CLIENTS))(
  '%s submits to a group, waits, reads, pages and cancels',
  async (_name, connect) => {
    const { url, apiKey } = await startStack(fleetFiles(4))
    await runStory(await connect({ url, key: apiKey }))
  },
  90_000,
)

test('the client that asks what the server speaks finds the newest revision', async () => {
  const { url, apiKey } = await startStack({ ...fleetFiles(1), workers: 0 })
  const client = await connectModernSdk({ url, key: apiKey }, 'auto')
  expect(client.getProtocolEra()).toBe('modern')
})
