/** `muster mcp` where no server runs and nothing is configured: it brings up Redis, a server and workers by itself. */
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startRedis } from '@muster/runtime'
import { describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { homeWithFleet } from '../../support/mcp/home-with-fleet.ts'
import { INITIALIZE, MODERN_META, sparseEnv, startMcp } from '../../support/mcp/mcp-stdio.ts'
import { STDIO_CLIENTS } from '../../support/mcp/mcp-stdio-clients.ts'
import { runStory } from '../../support/mcp/mcp-story.ts'
import { pidsOf, stillRunning } from '../../support/runtime/processes.ts'
import { witnessFile } from '../../support/stack/witness.ts'

const Job = z.looseObject({ job_id: z.string(), state: z.string() })

function jobOf(answer: { result?: Record<string, unknown> | undefined }) {
  // The whole answer is shown when it holds no job.
  expect(answer.result).toMatchObject({ structuredContent: {} })
  return Job.parse(answer.result?.structuredContent)
}

/** The processes of a bridge that are Redis servers. */
async function redisOf(mcp: ReturnType<typeof startMcp>): Promise<number[]> {
  const servers = await pidsOf((args) => /^\S*redis-server /.test(args))
  return (await mcp.children()).filter((pid) => servers.includes(pid))
}

describe('muster mcp where nothing runs', () => {
  test.each(Object.entries(STDIO_CLIENTS))(
    '%s has the whole story with one command and no configuration',
    async (_name, connect) => {
      await runStory(await connect(await homeWithFleet(4)))
    },
    120_000,
  )

  test('takes hosts from SSH_SERVERS, keeps its files in the home directory, and shows nobody the key', async () => {
    const env = await sparseEnv()
    const mcp = startMcp({
      ...env,
      SSH_SERVERS: 'web1:192.0.2.1:deploy, db1:192.0.2.2:admin:s3cret',
      LOG_LEVEL: 'trace',
    })
    const discovered = await mcp.ask('d', { method: 'server/discover', params: { _meta: MODERN_META } })
    expect(discovered.result).toMatchObject({ supportedVersions: ['2026-07-28'] })
    expect((await mcp.call(1, 'list_hosts', {})).result).toMatchObject({ structuredContent: { total: 2 } })
    expect((await readdir(join(env.HOME, '.local/state/muster'))).toSorted()).toEqual([
      'api-key',
      'redis',
      'server-keys.json',
      'server-keys.pub.json',
      'server.json',
      'worker-keys.json',
      'worker-keys.pub.json',
    ])
    expect(mcp.said()).toContain('"level":"info"')
    expect(mcp.said()).not.toMatch(/mst_|s3cret/)
    expect(mcp.lines().map(({ id }) => id)).toEqual(['d', 1])
  })
})

test('it takes over the API keys that are there when it makes keys of its server, and only then', async () => {
  const env = { ...(await homeWithFleet(1)), LOG_LEVEL: 'warn' }
  const files = ['server-keys.json', 'server-keys.pub.json'].map((name) => join(env.HOME, '.local/state/muster', name))
  const use = async () => {
    const mcp = startMcp(env)
    const { result } = await mcp.call(1, 'list_hosts', {})
    await mcp.end()
    return [result?.isError === true, mcp.said().includes('"key_ids":["first"]')]
  }
  expect(await use()).toEqual([false, false])
  for (const file of files) await rm(file)
  expect(await use()).toEqual([false, true])
  expect(await use()).toEqual([false, false])
}, 120_000)

test('it seals secrets for its own workers from its first start on', async () => {
  const mcp = startMcp({ ...(await homeWithFleet(1)), LOG_LEVEL: 'trace' })
  const TOKEN = 'canary-4Jx8'
  const command = 'printf %s "$TOKEN" | wc -c; cat | wc -l'
  const secrets = { secret_env: { TOKEN }, secret_stdin: 'canary-line\n' }
  const answer = await mcp.call(1, 'run_command', { targets: '@*', command, ...secrets, wait_s: 20 })
  expect(jobOf(answer)).toMatchObject({ state: 'succeeded' })
  expect(JSON.stringify(answer)).toContain(`${TOKEN.length}\\n1`)
  const again = await mcp.call(2, 'rerun_job', { job_id: jobOf(answer).job_id, states: ['succeeded'] })
  expect(again.result).toMatchObject({
    isError: true,
    content: [{ text: expect.stringMatching(/^secrets_not_kept: /) }],
  })
  expect(`${JSON.stringify([answer, again])}${mcp.said()}`).not.toContain('canary')
}, 60_000)

describe('muster mcp whose stack cannot come up', () => {
  const told = async (mcp: ReturnType<typeof startMcp>, text: RegExp) => {
    expect((await mcp.ask(1, INITIALIZE)).error?.message).toMatch(text)
    expect((await mcp.ask(2, { method: 'server/discover', params: { _meta: MODERN_META } })).error?.message).toMatch(
      text,
    )
    expect((await mcp.call(3, 'run_command', {})).result).toMatchObject({
      isError: true,
      content: [{ text: expect.stringMatching(text) }],
    })
    expect(mcp.said()).toMatch(text)
    expect(await mcp.end()).toEqual({ status: 0, signal: null })
  }

  test('without Redis, says how to get it', async () => {
    const env = await sparseEnv()
    await told(
      startMcp({ ...env, PATH: '/nonexistent', SSH_SERVERS: 'a:192.0.2.1:me' }),
      /no redis-server on this system\. Install it/,
    )
  })

  test('with a broken inventory, names the line', async () => {
    const env = await homeWithFleet(1)
    await writeFile(join(env.HOME, '.config/muster/inventory.yaml'), 'hosts:\n  web1: { adress: 192.0.2.1 }\n')
    await told(startMcp(env), /inventory\.yaml:2: .*unknown field; did you mean "address"/)
  })

  test('with a port that is taken, says so', async () => {
    const taken = createServer()
    taken.listen(0, '127.0.0.1')
    onTestFinished(() => void taken.close())
    await expect.poll(() => taken.listening).toBe(true)
    const { port } = z.object({ port: z.number() }).parse(taken.address())
    const env = { ...(await homeWithFleet(1)), MUSTER_PORT: String(port) }
    await told(startMcp(env), /MUSTER_PORT: .*another program listens(?!.*mst_)/s)
  })
})

describe('several clients on one data directory', () => {
  test('share one stack, and go on when the client that brought it up has ended', async () => {
    const env = await homeWithFleet(1)
    const clients = [startMcp(env), startMcp(env)] as const
    const answers = await Promise.all(clients.map((mcp) => mcp.ask(1, INITIALIZE)))
    expect(answers.every(({ result }) => result !== undefined)).toBe(true)
    const run = { targets: 'web01', command: 'echo hello', wait_s: 20 }
    const [here, there] = await Promise.all(clients.map((mcp) => mcp.call(2, 'run_command', run)))
    expect([here, there].map((answer) => answer && jobOf(answer).state)).toEqual(['succeeded', 'succeeded'])
    // Whoever came second may still be on its way to find that out.
    await expect
      .poll(async () => (await Promise.all(clients.map(redisOf))).map(({ length }) => length).toSorted())
      .toEqual([0, 1])
    const isFirst = (await redisOf(clients[0])).length === 1
    const [first, second] = isFirst ? clients : [clients[1], clients[0]]
    const { job_id } = jobOf(await first.call(3, 'run_command', run))
    expect(await first.end()).toEqual({ status: 0, signal: null })
    expect(jobOf(await second.call(4, 'get_job', { job_id }))).toMatchObject({ state: 'succeeded' })
    expect(jobOf(await second.call(5, 'run_command', run)).state).toBe('succeeded')
    expect(await redisOf(second)).toHaveLength(1)
  }, 120_000)
})

test('a data directory that another Muster is about to let go of is waited for', async () => {
  const env = await homeWithFleet(1)
  const dataDir = join(env.HOME, '.local/state/muster')
  const redis = await startRedis({ dataDir, allowInstall: false, env: process.env, log: () => {} })
  onTestFinished(() => redis.close())
  const mcp = startMcp(env)
  mcp.send({ id: 1, ...INITIALIZE })
  // Long enough to be refused the directory once.
  await delay(2_000)
  await redis.close()
  expect((await mcp.answer(1)).result).toMatchObject({ serverInfo: { name: 'muster' } })
}, 60_000)

describe('the end of muster mcp with its own stack', () => {
  test.each(['stdin', 'SIGTERM', 'SIGKILL'])(
    'leaves no process behind (%s)',
    async (how) => {
      const mcp = startMcp(await homeWithFleet(1))
      await mcp.ask(1, INITIALIZE)
      await mcp.call(2, 'run_command', { targets: 'web01', command: 'true', wait_s: 20 })
      const pids = await mcp.children()
      // Its stack, the server, a worker, and Redis with the two shells that watch over it.
      expect(pids.length).toBeGreaterThan(4)
      if (how === 'stdin') mcp.child.stdin.end()
      else mcp.child.kill(how === 'SIGTERM' ? 'SIGTERM' : 'SIGKILL')
      await mcp.closed
      if (how !== 'SIGKILL') expect([mcp.child.exitCode, await stillRunning(pids)]).toEqual([0, []])
      await expect.poll(() => stillRunning(pids), { timeout: 25_000 }).toEqual([])
    },
    60_000,
  )

  test('killing a client loses no command: what runs ends well, what waits goes on at the next start', async () => {
    const env = await homeWithFleet(2)
    const witness = await witnessFile()
    const first = startMcp(env)
    await first.ask(1, INITIALIZE)
    const command = `echo began >> ${witness.path}; sleep 3; echo ended >> ${witness.path}`
    const { job_id } = jobOf(
      await first.call(2, 'run_command', { targets: '@web', command, concurrency: 1, wait_s: 0 }),
    )
    await expect.poll(async () => (await witness.lines()).length, { timeout: 20_000 }).toBe(1)
    first.child.kill('SIGKILL')
    const second = startMcp(env)
    // The first answers may be the last ones of the stack that is on its way out.
    for (let id = 1, state = ''; state !== 'succeeded'; id += 1) {
      const { result } = await second.call(id, 'wait_job', { job_id, wait_s: 20 })
      state = Job.safeParse(result?.structuredContent).data?.state ?? state
    }
    expect(await witness.lines()).toEqual(['began', 'ended', 'began', 'ended'])
  }, 90_000)

  test('a stack that was killed comes up again with the next request', async () => {
    const env = await homeWithFleet(1)
    const mcp = startMcp(env)
    const { job_id } = jobOf(await mcp.call(1, 'run_command', { targets: 'web01', command: 'true', wait_s: 20 }))
    const before = await mcp.children()
    const { url }: { url: string } = JSON.parse(
      await readFile(join(env.HOME, '.local/state/muster/server.json'), 'utf8'),
    )
    for (const pid of before) process.kill(pid, 'SIGKILL')
    await expect.poll(() => stillRunning(before)).toEqual([])
    // The kernel may close the sockets of the dead a little later.
    await expect
      .poll(() =>
        fetch(`${url}/livez`).then(
          ({ status }) => status,
          () => 'gone',
        ),
      )
      .toBe('gone')
    expect(jobOf(await mcp.call(2, 'get_job', { job_id })).state).toBe('succeeded')
  }, 60_000)
})
