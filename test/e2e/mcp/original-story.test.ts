/**
 * The profile `original`, as somebody meets it who comes from a single script: `muster mcp --tools original` on a
 * machine where nothing is configured but known_hosts, and the same tools over HTTP.
 */
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, inject, test } from 'vitest'
import { CLIENTS } from '../../support/mcp/mcp-clients.ts'
import { sparseEnv, startMcp } from '../../support/mcp/mcp-stdio.ts'
import { STDIO_CLIENTS } from '../../support/mcp/mcp-stdio-clients.ts'
import { runOriginalStory, type StoryAccount } from '../../support/mcp/original-story.ts'
import { sharedRedisUrl } from '../../support/runtime/shared-redis.ts'
import { CAN_MAKE_SUDOERS, makeSudoer, type Sudoer } from '../../support/ssh/sudoer.ts'
import { secretDirs } from '../../support/stack/fleet-files.ts'

let sudoer: Sudoer | undefined
beforeAll(async () => {
  if (CAN_MAKE_SUDOERS) sudoer = await makeSudoer((user) => `${user} ALL=(ALL:ALL) ALL`)
}, 120_000)
afterAll(() => sudoer?.close())
beforeEach((context) => {
  if (sudoer === undefined) context.skip('only root can make accounts and rules for sudo to test with')
})

/** A home directory with known_hosts and a key, and the account that both are for. */
async function homeOfPerson() {
  const { port, knownHosts, keys } = inject('sshd')
  // The shared Redis sees to it that the program is there.
  sharedRedisUrl()
  const env = await sparseEnv()
  await mkdir(join(env.HOME, '.ssh'), { mode: 0o700 })
  await writeFile(join(env.HOME, '.ssh/known_hosts'), knownHosts)
  await copyFile(keys.ed25519, join(env.HOME, '.ssh/id_lab'))
  const { user: username = '', password = '' } = sudoer ?? {}
  const account = { hostname: '127.0.1.1', port, username, password, keyPath: '~/.ssh/id_lab' }
  return { env, account }
}

/** The same, with a host `lab` in an inventory. */
async function homeWithServer() {
  const { env, account } = await homeOfPerson()
  const { keys } = inject('sshd')
  const { port, username } = account
  const host = `{ address: 127.0.1.2, port: ${port}, user: ${username}, identity_file: ${keys.ed25519} }`
  await writeFile(join(env.HOME, '.config/muster/inventory.yaml'), `hosts:\n  lab: ${host}\n`)
  const named: StoryAccount = { ...account, serverName: 'lab' }
  return { env: { ...env, MUSTER_SECRET_DIRS: secretDirs() }, account: named }
}

describe('over stdio, with nothing configured but known_hosts', () => {
  test.each(Object.entries(STDIO_CLIENTS))(
    '%s tests, runs, lists and looks, by password, by key and by sudo',
    async (_name, connect) => {
      const { env, account } = await homeOfPerson()
      await runOriginalStory(await connect(env, '--tools', 'original'), account)
    },
    120_000,
  )
})

test('over stdio a named server is reached as the inventory says', async () => {
  const { env, account } = await homeWithServer()
  await runOriginalStory(await STDIO_CLIENTS['a v2 client in modern mode'](env, '--tools', 'original'), account)
}, 120_000)

test.each([
  ['with nothing configured but known_hosts', homeOfPerson],
  ['with a named server', homeWithServer],
] as const)(
  'over HTTP each client has the same story, %s',
  async (_name, homeOf) => {
    const { env, account } = await homeOf()
    const mcp = startMcp(env)
    // Its server is there when it has answered.
    await mcp.call(1, 'list_hosts', {})
    const state = join(env.HOME, '.local/state/muster')
    const { url }: { url: string } = JSON.parse(await readFile(join(state, 'server.json'), 'utf8'))
    const key = (await readFile(join(state, 'api-key'), 'utf8')).trim()
    for (const connect of Object.values(CLIENTS)) {
      await runOriginalStory(await connect({ url, key, tools: 'original' }), account)
    }
  },
  180_000,
)
