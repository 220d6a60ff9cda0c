/** The server as a process, and with a Redis that goes away: what it says, leaves behind, and refuses. */
import { once } from 'node:events'
import { chmod, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { JobReport, OPERATIONS, Problem } from '@muster/contract'
import { freePort, startRedis } from '@muster/runtime'
import { describe, expect, onTestFinished, test } from 'vitest'
import { nodeOnTerminal } from '../../support/cli/terminal.ts'
import { startCuttingProxy } from '../../support/runtime/cutting-proxy.ts'
import { sharedRedisUrl } from '../../support/runtime/shared-redis.ts'
import { INVENTORY_YAML, startTestServer, temporaryDataDir } from '../../support/server/server.ts'
import { placesIn, startServerProcess } from '../../support/server/server-process.ts'

/** What a server says on a terminal until it can be found. */
async function startOnTerminal(dataDir: string, env: Record<string, string>): Promise<string> {
  await writeFile(join(dataDir, 'inventory.yaml'), INVENTORY_YAML)
  const file = join(dataDir, 'state/server.json')
  await rm(file, { force: true })
  const child = nodeOnTerminal(['--', resolve('apps/server/dist/main.js')], {
    cwd: '/',
    env: { ...placesIn(dataDir), REDIS_URL: sharedRedisUrl(), MUSTER_PORT: '0', ...env },
  })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  const ended = once(child, 'close')
  await expect.poll(() => readFile(file, 'utf8').catch(() => ''), { timeout: 15_000 }).toContain('"url"')
  process.kill(JSON.parse(await readFile(file, 'utf8')).pid, 'SIGTERM')
  await ended
  return said
}

const prefix = () => `test-${crypto.randomUUID()}`

async function foundBy(dataDir: string): Promise<{ url: string; key: string }> {
  const { url } = JSON.parse(await readFile(join(dataDir, 'state/server.json'), 'utf8'))
  return { url, key: (await readFile(join(dataDir, 'state/api-key'), 'utf8')).trim() }
}

describe('the server process', () => {
  test('prints where its first key is, can be found by its files, and removes its address when it ends', async () => {
    const dataDir = await temporaryDataDir()
    const env = { MUSTER_PREFIX: prefix() }
    const first = await startServerProcess(dataDir, env)
    const { url, key } = await foundBy(dataDir)
    expect(first.said.out).toBe(`API key: in ${dataDir}/state/api-key, which only this user can read\n`)
    expect(`${first.said.out}${first.said.log}`).not.toMatch(/mst_first_/)
    const answer = await fetch(`${url}/v1/jobs`, { headers: { authorization: `Bearer ${key}` } })
    expect(answer.status).toBe(200)
    await answer.text()
    expect(await first.stop()).toBe(0)
    expect(await readdir(join(dataDir, 'state'))).toEqual(['api-key'])
    const second = await startServerProcess(dataDir, env)
    expect(second.said.out).toBe('')
    expect((await foundBy(dataDir)).key).toBe(key)
    expect(await second.stop()).toBe(0)
  })

  test('has its pages, and what they load', async () => {
    const dataDir = await temporaryDataDir()
    const { stop } = await startServerProcess(dataDir, { MUSTER_PREFIX: prefix() })
    const { url, key } = await foundBy(dataDir)
    const read = async (path: string) => {
      const answer = await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${key}` } })
      return { path, status: answer.status, text: await answer.text() }
    }
    const board = await read('/board')
    const script = /static\/js\/[^"]+/.exec(board.text)?.[0] ?? 'none'
    const parts = ['/docs', '/docs/static/swagger-ui.css', '/openapi.json', '/board/api/queues', `/board/${script}`]
    const found = [board, ...(await Promise.all(parts.map(read)))]
    expect(found.filter(({ status, text }) => status !== 200 || text === '')).toEqual([])
    expect(await stop()).toBe(0)
  })

  test('shows its first key once, on a terminal', async () => {
    const dataDir = await temporaryDataDir()
    const env = { MUSTER_PREFIX: prefix(), LOG_LEVEL: 'warn' }
    const first = await startOnTerminal(dataDir, env)
    const key = (await readFile(join(dataDir, 'state/api-key'), 'utf8')).trim()
    expect(first.split(key)).toHaveLength(2)
    expect(await startOnTerminal(dataDir, env)).not.toContain(key)
  })

  test('lets a key call and submit as often as its environment says', async () => {
    const dataDir = await temporaryDataDir()
    const limits = { MUSTER_RATE_LIMIT_PER_MIN: '4', MUSTER_SUBMIT_LIMIT_PER_MIN: '2' }
    await startServerProcess(dataDir, { MUSTER_PREFIX: prefix(), ...limits })
    const { url, key } = await foundBy(dataDir)
    const call = async (init?: { method: string; body: string }) => {
      const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
      const answer = await fetch(`${url}/v1/jobs`, { ...init, headers })
      await answer.text()
      return answer.status
    }
    const submit = { method: 'POST', body: JSON.stringify({ command: 'true', targets: 'web01' }) }
    const statuses = [await call(submit), await call(submit), await call(submit), await call(), await call()]
    expect(statuses).toEqual([202, 202, 429, 200, 429])
  })

  test('is not held up by a waiting call, which gets its answer, nor by a connection that asks nothing', async () => {
    const dataDir = await temporaryDataDir()
    const server = await startServerProcess(dataDir, { MUSTER_PREFIX: prefix(), MUSTER_SHUTDOWN_GRACE_S: '15' })
    const { url, key } = await foundBy(dataDir)
    const silent = connect(Number(new URL(url).port), '127.0.0.1')
    onTestFinished(() => {
      silent.destroy()
    })
    await once(silent, 'connect')
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
    const body = JSON.stringify({ command: 'true', targets: 'db1', wait_s: 45 })
    const waiting = fetch(`${url}/v1/jobs`, { method: 'POST', headers, body })
    await expect.poll(() => server.said.log).toContain('job submitted')
    expect(await server.stop()).toBe(0)
    const answer = await waiting
    expect([answer.status, JobReport.parse(await answer.json()).state]).toEqual([202, 'queued'])
    expect(server.said.log).not.toContain('took longer')
  })

  test('does not start with a wrong configuration, and tells every mistake', async () => {
    const dataDir = await temporaryDataDir()
    const { child, said } = await startServerProcess(dataDir, {
      REDIS_URL: '',
      MUSTER_PORT: '99999',
      MUSTER_ALLOWED_HOSTS: 'a:1',
    })
    expect(child.exitCode).not.toBe(0)
    for (const name of ['REDIS_URL', 'MUSTER_PORT', 'MUSTER_ALLOWED_HOSTS']) expect(said.log).toContain(`${name}: `)
  })

  test('reads its own file of settings and the one that is named, and says what it leaves out', async () => {
    const dataDir = await temporaryDataDir()
    const settings = [`MUSTER_PREFIX=${prefix()}`, 'MUSTER_DATA_DIR=elsewhere', 'LOG_LEVEL=warn']
    await writeFile(join(dataDir, 'muster.env'), settings.join('\n'))
    await writeFile(join(dataDir, 'more.env'), 'LOG_LEVEL=info\nNODE_OPTIONS=--bogus\n')
    const args = ['--env-file', join(dataDir, 'more.env')]
    const { said } = await startServerProcess(dataDir, { MUSTER_DATA_DIR: join(dataDir, 'state') }, args)
    expect((await foundBy(dataDir)).url).toMatch(/^http/)
    expect(said.log).toMatch(/more\.env: only Muster's own settings are read from a file; left out: NODE_OPTIONS"/)
  })

  test('says which variable is at fault when it cannot listen', async () => {
    const dataDir = await temporaryDataDir()
    const port = String(await freePort())
    const taken = createServer().listen(Number(port), '127.0.0.1')
    onTestFinished(() => void taken.close())
    await once(taken, 'listening')
    const busy = await startServerProcess(dataDir, { MUSTER_PREFIX: prefix(), MUSTER_PORT: port })
    expect(busy.said.log).toContain(
      `"msg":"MUSTER_PORT: received ${port}; another program listens on 127.0.0.1:${port}: `,
    )
    const away = { MUSTER_PREFIX: prefix(), MUSTER_HOST: '192.0.2.77', MUSTER_BEHIND_PROXY: '1' }
    const elsewhere = await startServerProcess(dataDir, away)
    expect(elsewhere.said.log).toContain('"msg":"MUSTER_HOST: received \\"192.0.2.77\\", which is no address of this')
  })

  test.each([
    ['/etc/passwd', 'a file is in its place'],
    ['/etc/passwd/x', 'a file is in its place'],
    ['/proc/x', 'ENOENT'],
    ['/proc/x/y', 'ENOENT'],
  ])('says that it can keep nothing in %s, in one line at any level', async (dataDir, why) => {
    const keys: readonly Record<string, string>[] = [{}, { MUSTER_API_KEY: `mst_own_${'k'.repeat(43)}` }]
    for (const key of keys) {
      const env = { MUSTER_PREFIX: prefix(), MUSTER_DATA_DIR: dataDir, LOG_LEVEL: 'error', ...key }
      const { child, said } = await startServerProcess(await temporaryDataDir(), env)
      expect(child.exitCode).toBe(1)
      expect(said.log.trim().split('\n')).toEqual([expect.stringContaining('"code":"invalid_config"')])
      expect(said.log).toContain(`MUSTER_DATA_DIR: received \\"${dataDir}\\", which is no directory for data: ${why}; `)
    }
  })

  test('says that no Redis answers, where, why and what to do, without the password', async () => {
    const env = { REDIS_URL: 'redis://me:s3cret@127.0.0.1:1/3', LOG_LEVEL: 'error' }
    const { child, said } = await startServerProcess(await temporaryDataDir(), env)
    expect(child.exitCode).toBe(1)
    expect(said.log.trim().split('\n')).toEqual([expect.stringContaining('"code":"ledger_unavailable"')])
    expect(said.log).toMatch(
      /REDIS_URL: no Redis answered at redis:\/\/127\.0\.0\.1:1\/3 in 10 s \(.*ECONNREFUSED.*\): start it/,
    )
    expect(said.log).not.toContain('s3cret')
  })

  test.each(['http://me:s3cret@127.0.0.1:6379', 'nonsense', 'redis:6379', 'redis://me:s3/cret@127.0.0.1'])(
    'takes no REDIS_URL of %s',
    async (url) => {
      const env = { REDIS_URL: url, LOG_LEVEL: 'error' }
      const { child, said } = await startServerProcess(await temporaryDataDir(), env)
      expect(child.exitCode).toBe(2)
      expect(said.log).toContain('REDIS_URL: the value (not shown, it is a secret) is not valid; accepted: a redis://')
      expect(said.log).not.toContain('s3')
    },
  )

  test('refuses a flag that it does not know', async () => {
    const refused = await startServerProcess(await temporaryDataDir(), {}, ['--bogus'])
    expect([refused.child.exitCode, refused.said.log]).toEqual([2, expect.stringContaining("'--bogus'")])
  })

  test('does not believe an inventory that others can write to', async () => {
    const dataDir = await temporaryDataDir()
    const file = join(dataDir, 'theirs.yaml')
    await writeFile(file, INVENTORY_YAML)
    await chmod(file, 0o666)
    const { child, said } = await startServerProcess(dataDir, { MUSTER_PREFIX: prefix() }, ['--inventory', file])
    expect(child.exitCode).toBe(1)
    expect(said.log).toContain(`others can write to it (mode 0666). If you trust what is in it: chmod go-w ${file}`)
  })

  test('takes the key of its operator, from a file as well, and prints none', async () => {
    const dataDir = await temporaryDataDir()
    const key = `mst_compose_${'k'.repeat(43)}`
    await writeFile(join(dataDir, 'key'), `${key}\n`)
    const server = await startServerProcess(dataDir, {
      MUSTER_PREFIX: prefix(),
      MUSTER_API_KEY_FILE: join(dataDir, 'key'),
    })
    const { url } = JSON.parse(await readFile(join(dataDir, 'state/server.json'), 'utf8'))
    const answer = await fetch(`${url}/v1/jobs`, { headers: { authorization: `Bearer ${key}` } })
    expect(answer.status).toBe(200)
    await answer.text()
    expect(server.said.out + server.said.log).not.toContain(key)
    expect(await server.stop()).toBe(0)
  })
})

describe('while no worker lives', () => {
  test('jobs end by their start deadline, also after Redis was away for a while', async () => {
    const dataDir = await temporaryDataDir()
    const proxy = await startCuttingProxy(sharedRedisUrl())
    const server = await startServerProcess(dataDir, { MUSTER_PREFIX: prefix(), REDIS_URL: proxy.url })
    const { url, key } = await foundBy(dataDir)
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
    const submit = async () => {
      const body = JSON.stringify({ command: 'true', targets: '@web', start_deadline_s: 0.1, wait_s: 40 })
      const answer = await fetch(`${url}/v1/jobs`, { method: 'POST', headers, body })
      return { status: answer.status, body: await answer.json() }
    }
    const skipped = { state: 'failed', counts: { skipped: 12 }, problems: [{ reason: 'start_deadline', count: 12 }] }
    expect(JobReport.parse((await submit()).body)).toMatchObject(skipped)

    proxy.setAway(true)
    // Longer than the time between two sweeps: one at least is due now.
    await expect.poll(() => server.said.log, { timeout: 20_000, interval: 200 }).toMatch(/Redis trouble/)
    expect((await submit()).status).toBe(503)
    await new Promise((resolve) => setTimeout(resolve, 6_000))
    proxy.setAway(false)
    await expect.poll(async () => (await fetch(`${url}/readyz`)).status, { timeout: 15_000 }).toBe(200)
    expect(JobReport.parse((await submit()).body)).toMatchObject(skipped)
    expect(server.child.exitCode).toBeNull()
    expect(await server.stop()).toBe(0)
    expect(server.said.log).not.toMatch(/"level":(50|60)|[Uu]nhandled|took longer/)
  }, 90_000)
})

describe('while Redis is away', () => {
  test('every call is refused soon, and nothing of a job is left behind', async () => {
    const dataDir = await temporaryDataDir()
    const options = { dataDir, port: await freePort(), allowInstall: false, env: process.env, log: () => {} }
    const redis = await startRedis(options)
    onTestFinished(() => redis.close())
    const server = await startTestServer({ redisUrl: redis.url, dataDir })
    const { body: before } = await server.call('POST', '/v1/jobs', { body: { command: 'true', targets: '@web' } })
    await redis.close()

    const submit = { body: { command: 'date', targets: '@web', idempotency_key: 'once' } }
    for (const answer of await Promise.all([
      server.call('POST', '/v1/jobs', submit),
      server.call('GET', `/v1/jobs/${before.job_id}?wait_s=20`),
      server.call('GET', '/v1/jobs'),
    ])) {
      expect([answer.status, Problem.parse(answer.body).code]).toEqual([503, 'ledger_unavailable'])
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
    }
    const params = { name: 'run_command', arguments: { command: 'date', targets: '@web' } }
    const toolCall = await server.call('POST', '/mcp', {
      body: { jsonrpc: '2.0', id: 1, method: 'tools/call', params },
      headers: { accept: 'application/json, text/event-stream' },
    })
    expect(toolCall.text).toContain('ledger_unavailable')
    expect((await server.call('GET', '/livez')).status).toBe(200)
    expect((await server.call('GET', '/readyz')).body).toEqual({
      status: 'unavailable',
      redis: 'unavailable',
      inventory: 'ok',
    })

    const again = await startRedis({ ...options, port: Number(new URL(redis.url).port) })
    onTestFinished(() => again.close())
    const url = new URL(again.url)
    const after = await startTestServer({ redisUrl: url.href, dataDir, prefix: server.ledger.keys.base.slice(1, -1) })
    expect((await after.call('GET', '/v1/jobs')).body).toMatchObject({ jobs: [{ job_id: before.job_id }] })
    const accepted = await after.call('POST', '/v1/jobs', submit)
    expect([accepted.status, accepted.body.total]).toEqual([202, 12])
    expect((await after.call('GET', '/v1/jobs')).body.jobs).toHaveLength(2)
  })

  test('the server ends when it is told to', async () => {
    const dataDir = await temporaryDataDir()
    const proxy = await startCuttingProxy(sharedRedisUrl())
    const server = await startServerProcess(dataDir, { MUSTER_PREFIX: prefix(), REDIS_URL: proxy.url })
    proxy.setAway(true)
    await expect.poll(() => server.said.log, { timeout: 20_000 }).toMatch(/Redis trouble/)
    expect(await server.stop()).toBe(0)
    expect(server.said.log).not.toMatch(/took longer|[Uu]nhandled/)
  })

  test('a job refused because Redis hung is there whole under the given ID, or not at all', async () => {
    const dataDir = await temporaryDataDir()
    const redis = await startRedis({ dataDir, allowInstall: false, env: process.env, log: () => {} })
    onTestFinished(() => redis.close())
    const server = await startTestServer({ redisUrl: redis.url, dataDir })
    await server.call('GET', '/v1/jobs')
    // Longer than a server waits for an answer.
    await server.ledger.redis.call('CLIENT', 'PAUSE', '3000', 'ALL')
    const refused = await server.call('POST', '/v1/jobs', { body: { command: 'date', targets: '@web' } })
    expect([refused.status, refused.body.code]).toEqual([503, 'ledger_unavailable'])
    await expect.poll(async () => (await server.call('GET', '/readyz')).status, { timeout: 10_000 }).toBe(200)
    const { jobs } = OPERATIONS.list_jobs.output.parse((await server.call('GET', '/v1/jobs')).body)
    for (const job of jobs) expect(job).toMatchObject({ job_id: refused.body.job_id, total: 12 })
    expect(jobs.length).toBeLessThanOrEqual(1)
  })
})
