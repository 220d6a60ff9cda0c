/** `muster login` and `--server`, against a real server; and a key that no redirect leads away. */
import { once } from 'node:events'
import { readdir, readFile, stat } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { muster, musterFed } from '../../support/cli/muster-process.ts'
import { HAS_TERMINAL, nodeOnTerminal } from '../../support/cli/terminal.ts'
import { listeningServer } from '../../support/mcp/attacker.ts'
import { listenLocally } from '../../support/mcp/mcp-bridged.ts'
import { INITIALIZE, MUSTER, sparseEnv, startMcp } from '../../support/mcp/mcp-stdio.ts'
import { startTestServer } from '../../support/server/server.ts'

test('a server is kept with its key under a name, for every command, until it is forgotten', async () => {
  const [env, server] = [await sparseEnv(), await startTestServer()]
  const login = await musterFed(env, `${server.key}\n`, 'login', server.url, '--name', 'test')
  expect(login).toMatchObject({ status: 0, said: expect.stringContaining('Use it with --server test') })
  const file = join(env.HOME, '.local/state/muster/servers/test.json')
  expect([(await stat(file)).mode & 0o777, JSON.parse(await readFile(file, 'utf8'))]).toEqual([
    0o600,
    { url: server.url, api_key: server.key, allow_http: false },
  ])
  expect(login.said).not.toContain(server.key)

  expect((await muster(env, 'hosts', '--server', 'test')).out.toString()).toContain('web')
  const mcp = startMcp(env, { args: ['--server', 'test'] })
  expect((await mcp.ask(1, INITIALIZE)).result).toMatchObject({ serverInfo: { name: 'muster' } })

  expect((await muster(env, 'logout', 'test')).status).toBe(0)
  expect(await muster(env, 'hosts', '--server', 'test')).toMatchObject({
    status: 2,
    said: expect.stringContaining('no server "test" is known'),
  })
})

test('a key that the server does not know, or that stands on the command line, is not kept', async () => {
  const [env, server] = [await sparseEnv(), await startTestServer()]
  const unknown = await musterFed(env, `mst_first_${'x'.repeat(43)}`, 'login', server.url)
  expect(unknown).toMatchObject({ status: 2, said: expect.stringContaining('the API key is unknown') })
  const typed = await muster(env, 'login', server.url, server.key)
  expect(typed).toMatchObject({ status: 2, said: expect.stringContaining('a key is read from stdin') })
  expect(typed.said).not.toContain(server.key)
  const plain = await musterFed(env, server.key, 'login', 'http://192.0.2.1:7420')
  expect(plain).toMatchObject({ status: 2, said: expect.stringContaining('does not encrypt') })
  expect(await readdir(join(env.HOME, '.local/state')).catch(() => [])).toEqual([])
})

test('a name is not taken from another server, nor one made that cannot be, before the key is asked for', async () => {
  const [env, server, second] = [await sparseEnv(), await startTestServer(), await startTestServer()]
  const first = await musterFed(env, server.key, 'login', server.url)
  expect(first).toMatchObject({ status: 0, said: expect.stringContaining('--server 127.0.0.1') })
  const other = await musterFed(env, second.key, 'login', second.url)
  expect(other.said).toContain(`"127.0.0.1" is the name of ${server.url}; name this one: --name NAME`)
  const url = (await readFile(join(env.HOME, '.local/state/muster/servers/127.0.0.1.json'))).toString()
  expect([other.status, url]).toEqual([2, expect.stringContaining(server.url)])
  expect((await musterFed(env, server.key, 'login', server.url)).status).toBe(0)
  const unnamed = await musterFed(env, 'k', 'login', 'https://[::1]:1')
  expect(unnamed).toMatchObject({ status: 2, said: expect.stringContaining('"[::1]" is no name of a server') })
})

test('a key does not follow a redirect, from a command or from muster mcp', async () => {
  const attacker = await listeningServer()
  const redirecting = createServer((request, response) => {
    response.writeHead(307, { location: `${attacker.url}${request.url}` }).end()
  })
  const env = { ...(await sparseEnv()), MUSTER_URL: await listenLocally(redirecting), MUSTER_API_KEY: 'mst_x_y' }
  const { status, said } = await muster(env, 'hosts')
  expect([status, said]).toEqual([
    2,
    expect.stringContaining('answered with a redirect (307); no redirect is followed'),
  ])
  const mcp = startMcp(env)
  expect((await mcp.ask(1, INITIALIZE)).error?.message).toContain('answered 307')
  expect(attacker.heard).toEqual([])
})

test.skipIf(!HAS_TERMINAL)('a key that is typed on a terminal is not shown', async () => {
  const [env, server] = [await sparseEnv(), await startTestServer()]
  const terminal = nodeOnTerminal([MUSTER, 'login', server.url, '--name', 'typed'], { env })
  let shown = ''
  const asked = new Promise<void>((resolve) => {
    terminal.stdout.on('data', (bytes: Buffer) => {
      shown += bytes.toString()
      if (shown.includes('API key for')) resolve()
    })
  })
  const closed = once(terminal, 'close')
  await asked
  terminal.stdin.write(`wrong\x7f\x7f\x7f\x7f\x7f${server.key}\r`)
  await closed
  expect(shown).toContain(`Logged in to ${server.url}`)
  expect(shown).not.toContain(server.key.slice(-10))
})
