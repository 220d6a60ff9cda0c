/** The snippets of docs/from-a-single-script.md do what it says. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readSettings } from '@muster/runtime'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { ServerConfig } from '../../../apps/server/src/config.ts'
import { sparseEnv, startMcp } from '../../support/mcp/mcp-stdio.ts'
import { ORIGINAL_FIVE } from '../../support/mcp/original-story.ts'

const Desktop = z.object({
  mcpServers: z.record(
    z.string(),
    z.object({ command: z.string(), args: z.array(z.string()), env: z.record(z.string(), z.string()) }),
  ),
})
const Listed = z.object({ tools: z.array(z.object({ name: z.string() })) })

async function snippets(kind: 'json' | 'sh'): Promise<string[]> {
  const page = await readFile('docs/from-a-single-script.md', 'utf8')
  return [...page.matchAll(new RegExp(`^\`\`\`${kind}\n(.*?)^\`\`\``, 'gms'))].map(([, text = '']) => text)
}

test('the entry of a desktop client, and the file of settings, bring the tools and both named servers', async () => {
  const [, entry = ''] = await snippets('json')
  const { command, args, env } = Desktop.parse(JSON.parse(entry)).mcpServers.muster ?? {
    command: '',
    args: [],
    env: {},
  }
  expect([command, args[0]]).toEqual(['muster', 'mcp'])
  const [dotEnv = ''] = await snippets('sh')
  const home = await sparseEnv()
  await mkdir(join(home.HOME, '.config/muster'), { recursive: true })
  await writeFile(join(home.HOME, '.config/muster/muster.env'), dotEnv, { mode: 0o600 })
  const fromFile = startMcp(home, { args: args.slice(1) })
  const { tools } = Listed.parse((await fromFile.ask(1, { method: 'tools/list' })).result)
  expect(tools.map(({ name }) => name).filter((name) => ORIGINAL_FIVE.includes(name))).toEqual(ORIGINAL_FIVE)
  expect((await fromFile.call(2, 'list_hosts', {})).result).toMatchObject({ structuredContent: { total: 2 } })
  await fromFile.end()
  const fromEntry = startMcp({ ...(await sparseEnv()), ...env }, { args: args.slice(1) })
  expect((await fromEntry.call(1, 'list_hosts', {})).result).toMatchObject({ structuredContent: { total: 2 } })
}, 60_000)

test('the settings for Docker let calls name the hosts of known_hosts', async () => {
  const [, forDocker = ''] = await snippets('sh')
  const { HOME } = await sparseEnv()
  const directory = join(HOME, '.config/muster')
  await writeFile(join(directory, 'muster.env'), forDocker, { mode: 0o600 })
  const { env } = await readSettings({ env: { HOME, MUSTER_CONFIG_DIR: directory } })
  expect(env.MUSTER_ADHOC_KEY_DIRS).toBe('/home/node/.ssh')
  const { MUSTER_ADHOC_HOSTS: policy } = ServerConfig.parse({ REDIS_URL: 'redis://redis:6379', ...env })
  expect([policy.text, policy.allowsAny]).toEqual(['known_hosts', true])
})

test.each(['mine', ''])(
  'a set of tools that is not there ends the command, and the message names those that are: %j',
  async (name) => {
    const { child, said, closed } = startMcp(await sparseEnv(), { args: ['--tools', name] })
    await closed
    expect([child.exitCode, said()]).toEqual([
      2,
      expect.stringMatching(/^muster: --tools: there is no set of tools ".*"; there are default and original/),
    ])
  },
  30_000,
)
