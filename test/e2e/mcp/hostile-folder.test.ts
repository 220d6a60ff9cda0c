/** Someone else's project folder, opened in an editor or a terminal, configures nothing. */
import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { muster } from '../../support/cli/muster-process.ts'
import { folderOf, listeningServer, madeFile } from '../../support/mcp/attacker.ts'
import { INITIALIZE, MUSTER, sparseEnv, startMcp } from '../../support/mcp/mcp-stdio.ts'
import { sharedRedisUrl } from '../../support/runtime/shared-redis.ts'
import { startTestServer } from '../../support/server/server.ts'

const OWN_HOST = 'mine:192.0.2.1:me'

/** A person who has a local server, with its key where `muster` finds it. */
async function personWithServer() {
  const env = await sparseEnv()
  const server = await startTestServer()
  const state = join(env.HOME, '.local/state/muster')
  await mkdir(state, { recursive: true, mode: 0o700 })
  await writeFile(join(state, 'server.json'), JSON.stringify({ url: server.url, pid: process.pid }))
  await writeFile(join(state, 'api-key'), server.key, { mode: 0o600 })
  return { env, server }
}

describe('muster mcp in a hostile project folder', () => {
  test('runs none of its code, and starts none of its programs', async () => {
    sharedRedisUrl()
    const env = await sparseEnv()
    const marks = await folderOf({})
    const mark = (name: string) => `require('fs').writeFileSync(${JSON.stringify(join(marks, name))}, 'ran')`
    const folder = await folderOf({
      'evil.cjs': mark('node'),
      'bin/redis-server': `#!/bin/sh\ntouch ${marks}/redis\n`,
      'bin/sh': `#!/bin/sh\ntouch ${marks}/sh\n`,
    })
    await writeFile(
      join(folder, '.env'),
      [
        `NODE_OPTIONS=--require=${folder}/evil.cjs`,
        `PATH=${folder}/bin:/usr/bin:/bin`,
        `LD_PRELOAD=${folder}/evil.so`,
        `HOME=${folder}`,
        `SSH_AUTH_SOCK=${folder}/agent`,
        `SSH_SERVERS=theirs:192.0.2.9:them`,
      ].join('\n'),
    )
    const mcp = startMcp({ ...env, SSH_SERVERS: OWN_HOST, PWD: folder, INIT_CWD: folder }, { cwd: folder })
    const { result } = await mcp.call(1, 'list_hosts', {})
    expect(result).toMatchObject({ structuredContent: { total: 1, hosts: [{ name: 'mine' }] } })
    for (const name of ['node', 'redis', 'sh'])
      expect([name, await madeFile(join(marks, name))]).toEqual([name, undefined])
    expect(await madeFile(join(env.HOME, '.local/state/muster/api-key'))).toBeDefined()
  }, 60_000)

  test('takes no host of its inventory', async () => {
    sharedRedisUrl()
    const env = await sparseEnv()
    const theirs = 'hosts:\n  theirs: { address: 192.0.2.9, password_file: ~/.aws/credentials }\n'
    const folder = await folderOf({ 'inventory.yaml': theirs, '.muster/inventory.yaml': theirs })
    const mcp = startMcp({ ...env, SSH_SERVERS: OWN_HOST }, { cwd: folder })
    const { result } = await mcp.call(1, 'list_hosts', {})
    expect(result).toMatchObject({ structuredContent: { total: 1, hosts: [{ name: 'mine' }] } })
  }, 60_000)
})

describe.each(['MUSTER_URL in .env', 'a server.json in .muster'])('a folder with %s', (what) => {
  /** The folder, and the server of the attacker that it leads to. */
  async function leadingAway() {
    const attacker = await listeningServer()
    const address = JSON.stringify({ url: attacker.url, pid: process.pid })
    const files = {
      'MUSTER_URL in .env': { '.env': `MUSTER_URL=${attacker.url}\nMUSTER_DATA_DIR=.\nMUSTER_INVENTORY=/dev/null\n` },
      'a server.json in .muster': { '.muster/server.json': address, 'server.json': address },
    }
    return {
      attacker,
      folder: await folderOf(files[what === 'MUSTER_URL in .env' ? what : 'a server.json in .muster']),
    }
  }

  test.each(['stored', 'in the environment'])('gets no key that is %s, from muster mcp', async (where) => {
    const { env, server } = await personWithServer()
    const { attacker, folder } = await leadingAway()
    const own = where === 'stored' ? {} : { MUSTER_API_KEY: server.key }
    const mcp = startMcp({ ...env, ...own }, { cwd: folder })
    expect((await mcp.ask(1, INITIALIZE)).result).toMatchObject({ serverInfo: { name: 'muster' } })
    expect(attacker.heard).toEqual([])
  })

  test.each(['stored', 'in the environment'])('gets no key that is %s, from other commands', async (where) => {
    const { env, server } = await personWithServer()
    const { attacker, folder } = await leadingAway()
    const own = where === 'stored' ? {} : { MUSTER_API_KEY: server.key }
    const { status, out } = await muster({ ...env, ...own }, { cwd: folder }, 'hosts')
    expect([status, out.toString()]).toEqual([0, expect.stringContaining('web')])
    expect(attacker.heard).toEqual([])
  })
})

test('a file that is named runs no code either', async () => {
  const { env } = await personWithServer()
  const folder = await folderOf({})
  const mark = join(folder, 'ran')
  await writeFile(join(folder, 'evil.cjs'), `require('fs').writeFileSync(${JSON.stringify(mark)}, 'ran')`)
  const file = join(folder, 'named.env')
  await writeFile(file, `NODE_OPTIONS=--require=${folder}/evil.cjs\nMUSTER_URL=http://127.0.0.1:1\n`)
  // As it is installed: Node itself would obey the file if the program were its script.
  const { stderr } = await promisify(execFile)(MUSTER, ['hosts', '--env-file', file], {
    env: { ...env, PATH: process.env.PATH },
  }).catch((error: { stderr: string }) => error)
  expect(stderr).toMatch(/left out: NODE_OPTIONS\n/)
  expect(await madeFile(mark)).toBeUndefined()
})

test('a server is found from any directory', async () => {
  const { env } = await personWithServer()
  for (const cwd of ['/', await folderOf({})]) {
    expect((await muster(env, { cwd }, 'hosts')).status).toBe(0)
  }
  expect((await muster({ ...env, HOME: '/nonexistent' }, 'hosts')).said).toContain('no server runs here')
})
