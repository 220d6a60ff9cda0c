/**
 * The public face, as callers see it: the OpenAPI document, the MCP tools in both protocol generations, the help texts
 * of the CLI. Compared with files in test/snapshots; a change there is a change that users see, and belongs in
 * CHANGELOG.md.
 *
 * `npx vitest run test/unit/public-face.test.ts --update` updates them.
 */
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { muster } from '../support/cli/muster-process.ts'
import { connectLegacySdk, connectModernSdk } from '../support/mcp/mcp-clients.ts'
import { startTestServer } from '../support/server/server.ts'

/** The file that holds the snapshot of this name. */
const fileOf = (name: string) => resolve('test/snapshots', name)

const asJson = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`

test('the OpenAPI document is the one that was reviewed', async () => {
  const { call } = await startTestServer()
  const { status, body } = await call('GET', '/openapi.json')
  expect(status).toBe(200)
  const text = asJson(body).replace(/^( {4}"version": )"[\d.]+"/m, '$1"VERSION"')
  await expect(text).toMatchFileSnapshot(fileOf('openapi.json'))
})

test.each([
  ['2025', connectLegacySdk],
  ['2026', (door: Parameters<typeof connectModernSdk>[0]) => connectModernSdk(door, 'auto')],
])('the MCP tools and instructions, generation %s', async (generation, connect) => {
  const client = await connect(await startTestServer())
  const { tools } = await client.listTools()
  const seen = { instructions: client.getInstructions(), capabilities: client.getServerCapabilities(), tools }
  await expect(asJson(seen)).toMatchFileSnapshot(fileOf(`mcp-tools-${generation}.json`))
})

test('the MCP tools and instructions of the profile original', async () => {
  const client = await connectModernSdk({ ...(await startTestServer()), tools: 'original' }, 'auto')
  const { tools } = await client.listTools()
  const seen = { instructions: client.getInstructions(), tools }
  await expect(asJson(seen)).toMatchFileSnapshot(fileOf('mcp-tools-original.json'))
})

// A process for each command.
test('the help texts of the CLI are those that were reviewed', { timeout: 120_000 }, async () => {
  const help = async (...command: string[]) => {
    const { status, out, said } = await muster({ PATH: process.env.PATH }, 'help', ...command)
    expect([command, status, said]).toEqual([command, 0, ''])
    return out.toString()
  }
  const overview = await help()
  const named = [...overview.matchAll(/^ {2}muster ([a-z][a-z-]*)/gm)].map(([, command = '']) => command)
  const commands = [...new Set(named)].filter((command) => command !== 'help')
  expect(commands.length).toBeGreaterThan(15)
  const texts = [`$ muster help\n${overview}`]
  for (const command of commands) texts.push(`$ muster help ${command}\n${await help(command)}`)
  await expect(texts.join('\n')).toMatchFileSnapshot(fileOf('muster-help.txt'))
})
