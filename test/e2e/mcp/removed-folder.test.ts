/** A folder that is removed while programs are in it, such as a worktree, takes no Muster along. */
import { rmdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { startProcess } from '@muster/runtime'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { muster, startMuster } from '../../support/cli/muster-process.ts'
import { folderOf } from '../../support/mcp/attacker.ts'
import { homeWithFleet } from '../../support/mcp/home-with-fleet.ts'
import { startMcp } from '../../support/mcp/mcp-stdio.ts'
import { pidsOf } from '../../support/runtime/processes.ts'
import { sharedRedisUrl } from '../../support/runtime/shared-redis.ts'
import { startTestServer, temporaryDataDir } from '../../support/server/server.ts'
import { placesIn } from '../../support/server/server-process.ts'
import { descendantsOf } from '../../support/ssh/sshd.ts'

const Ready = z.object({ ready: z.object({ url: z.string() }) })

/** Starts something in a folder that is gone before the program's first line. */
async function inRemovedFolder<T>(start: (cwd: string) => T): Promise<T> {
  const folder = await folderOf({})
  const started = start(folder)
  rmdirSync(folder)
  return started
}

test('muster mcp brings up its whole stack', async () => {
  const env = await homeWithFleet(1)
  const mcp = await inRemovedFolder((cwd) => startMcp(env, { cwd }))
  const { result } = await mcp.call(1, 'run_command', { targets: 'web01', command: 'echo here', wait_s: 20 })
  expect(result).toMatchObject({ structuredContent: { state: 'succeeded' } })
}, 60_000)

test('muster up replaces a worker that dies', async () => {
  const env = { ...(await homeWithFleet(1)), MUSTER_PORT: '0', MUSTER_WORKER_PROCESSES: '1' }
  const folder = await folderOf({})
  const up = await startProcess({
    name: 'muster up',
    command: process.execPath,
    args: [resolve('apps/cli/bin/muster.js'), 'up'],
    env,
    cwd: folder,
    ready: /^Try: /,
  })
  onTestFinished(() => up.stop())
  rmdirSync(folder)
  const workers = await pidsOf((args) => args.includes(join('apps', 'worker', 'dist', 'main.js')))
  const [worker = 0] = (await descendantsOf(up.pid)).filter((pid) => workers.includes(pid))
  process.kill(worker, 'SIGKILL')
  const { status, out } = await muster(env, 'run', 'web01', '--', 'true')
  expect([status, out.toString()]).toEqual([0, '── web01: succeeded\n'])
}, 60_000)

test('a server that is started there comes up and goes on', async () => {
  const env = { ...placesIn(await temporaryDataDir()), REDIS_URL: sharedRedisUrl(), MUSTER_PORT: '0' }
  const args = ['--', resolve('apps/server/dist/main.js')]
  const own = { ...env, SSH_SERVERS: 'web01:192.0.2.1:me', MUSTER_PREFIX: `test-${crypto.randomUUID()}` }
  const options = { name: 'server', command: process.execPath, args, env: own, ready: 'message' } as const
  const server = await inRemovedFolder((cwd) => startProcess({ ...options, cwd }))
  onTestFinished(() => server.stop())
  const { url } = Ready.parse(server.readyValue).ready
  expect((await fetch(`${url}/livez`)).status).toBe(200)
})

test('a command answers; a path that would start there is refused in a line', async () => {
  const { url, key } = await startTestServer()
  const run = async (own: Record<string, string>) =>
    await (await inRemovedFolder((cwd) => startMuster({ MUSTER_URL: url, ...own }, { cwd }, 'hosts'))).end()
  expect(await run({ MUSTER_API_KEY: key })).toMatchObject({ status: 0, said: '' })
  const { status, said } = await run({ MUSTER_API_KEY_FILE: 'key' })
  const why = 'give an absolute path, because the working directory has been removed.'
  expect([status, said]).toEqual([2, `muster: MUSTER_API_KEY_FILE: received "key"; ${why}\n`])
})
