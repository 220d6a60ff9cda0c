/**
 * How long any one caller can hold up all others: every way to read a job of ten thousand runs in mixed states, asked
 * one after the other, while the server's event loop is watched from inside. And a job of a hundred thousand.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { OPERATIONS, Submit } from '@muster/contract'
import { cancelJob, type Ledger, openLedger, submitJob } from '@muster/ledger'
import { Closers, startRedis } from '@muster/runtime'
import { type Printed, printAndEnd } from '../support/ledger/printed-run.ts'
import { say, table } from './table.ts'

const HOSTS = 10_000
const MANY_HOSTS = 100_000
const AT_ONCE = 200
const GOAL = 'event loop < 50 ms'

type Call = (method: 'GET' | 'POST', path: string, body?: unknown) => Promise<string>
type Worst = { readonly wallMs: number; readonly cpuMs: number }
type Watched = { readonly call: Call; readonly ledger: Ledger; worst(): Promise<Worst> }

/** Prints its part of the table. */
export async function benchEventLoop(): Promise<void> {
  const closers = new Closers(say)
  try {
    const row = table('Nobody holds up the server')
    const { call, ledger, worst } = await startWatched(closers)
    const measure = async (what: string, act: (timed: Call) => Promise<unknown>) => {
      await worst()
      const calls: number[] = []
      await act(async (method, path, body) => {
        const startedMs = performance.now()
        const text = await call(method, path, body)
        calls.push(performance.now() - startedMs)
        return text
      })
      const slowest = calls.length === 0 ? '' : `${calls.length} calls, slowest ${Math.max(...calls).toFixed(0)} ms, `
      const { wallMs, cpuMs } = await worst()
      row(what, `${slowest}event loop held up at most ${wallMs.toFixed(0)} ms (${cpuMs.toFixed(0)} ms of CPU)`, GOAL)
    }
    await measure(`submit to ${HOSTS} hosts`, async (timed) => {
      for (let i = 0; i < 5; i += 1) await timed('POST', '/v1/jobs', { targets: '@*', command: 'true' })
    })
    await benchReads(measure, await mixedJob(ledger))
    await measure('the server by itself, with those jobs, 15 s', () => sleep(15_000))
    const many = Array.from({ length: MANY_HOSTS }, (_, i) => `m${String(i).padStart(6, '0')}`)
    const request = Submit.parse({ command: 'true', targets: '@*' })
    const { jobId } = await submitJob(ledger, { request, hosts: many, owner: 'bench' })
    for (const index of [3, 17, 40]) await printAndEnd(ledger, jobId, index, { exitCode: 1 })
    await benchMany(measure, jobId, 'pending')
    await cancelJob(ledger, jobId)
    await benchMany(measure, jobId, 'cancelled')
  } finally {
    await closers.close()
  }
}

type Measure = (what: string, act: (timed: Call) => Promise<unknown>) => Promise<void>

async function benchReads(measure: Measure, jobId: string): Promise<void> {
  const job = `/v1/jobs/${jobId}`
  await measure(`read a job of ${HOSTS} runs`, async (timed) => {
    for (let i = 0; i < 20; i += 1) await timed('GET', job)
  })
  await measure('its runs, all pages of 1000', (timed) => pages(timed, `${job}/runs?limit=1000`, 'list_runs'))
  for (const state of ['succeeded', 'failed', 'timed_out', 'queued', 'lost']) {
    const path = `${job}/runs?limit=1000&state=${state}`
    await measure(`its runs that are ${state}`, (timed) => pages(timed, path, 'list_runs'))
  }
  await measure('its runs that are timed_out, pages of 2', (timed) =>
    pages(timed, `${job}/runs?limit=2&state=timed_out`, 'list_runs'),
  )
  for (const query of [
    '',
    '?limit_bytes=262144',
    '?diff=true',
    '?mask=host,time',
    '?mask=host,address,time,pid,number&diff=true',
  ]) {
    await measure(`its output ${query}`, (timed) => timed('GET', `${job}/output${query}`))
  }
  for (const args of [{ diff: false }, { mask: ['host', 'time'] }]) {
    const params = { name: 'get_output', arguments: { job_id: jobId, max_chars: 24_000, ...args } }
    await measure(`get_output ${JSON.stringify(args)}`, (timed) =>
      timed('POST', '/mcp', { jsonrpc: '2.0', id: 1, method: 'tools/call', params }),
    )
  }
  await measure(`resolve @* (${HOSTS} hosts)`, (timed) =>
    timed('POST', '/v1/targets/resolve', { targets: '@*', hosts_limit: 10_000 }),
  )
  await measure('all hosts, pages of 1000', (timed) => pages(timed, '/v1/hosts?limit=1000', 'list_hosts'))
  await measure('jobs', (timed) => pages(timed, '/v1/jobs?limit=100', 'list_jobs'))
  await measure('cancel it, and its events to the end', async (timed) => {
    await timed('POST', `${job}/cancel`, {})
    await timed('GET', `${job}/events`)
  })
}

async function benchMany(measure: Measure, jobId: string, rest: string): Promise<void> {
  const job = `/v1/jobs/${jobId}`
  const of = `a job of ${MANY_HOSTS} runs, most ${rest}`
  await measure(`${of}: read`, (timed) => timed('GET', job))
  await measure(`${of}: runs, all pages of 1000`, (timed) => pages(timed, `${job}/runs?limit=1000`, 'list_runs'))
  for (const state of ['failed', 'queued', rest]) {
    await measure(`${of}: runs that are ${state}`, (timed) =>
      pages(timed, `${job}/runs?limit=1000&state=${state}`, 'list_runs'),
    )
  }
  await measure(`${of}: output`, (timed) => timed('GET', `${job}/output?diff=true&mask=host`))
}

async function pages(timed: Call, path: string, name: 'list_runs' | 'list_hosts' | 'list_jobs'): Promise<void> {
  for (let cursor: string | null = ''; cursor !== null; ) {
    const text = await timed('GET', cursor === '' ? path : `${path}&cursor=${cursor}`)
    cursor = OPERATIONS[name].output.shape.next_cursor.parse(JSON.parse(text).next_cursor)
  }
}

/** Most have printed their own name, some the same, some much; a few failed in other ways; the rest is open. */
async function mixedJob(ledger: Ledger): Promise<string> {
  const request = Submit.parse({ command: './report', targets: '@*', concurrency: HOSTS, retries: 0 })
  const hosts = Array.from({ length: HOSTS }, (_, i) => `n${String(i + 1).padStart(5, '0')}`)
  const { jobId } = await submitJob(ledger, { request, hosts, owner: 'bench' })
  for (let from = 0; from < HOSTS; from += AT_ONCE) {
    const part = hosts.slice(from, from + AT_ONCE)
    await Promise.all(
      part.map(async (host, i) => {
        const printed = printedBy(host, from + i)
        if (printed !== undefined) await printAndEnd(ledger, jobId, from + i, printed)
      }),
    )
  }
  return jobId
}

function printedBy(host: string, index: number): Printed | undefined {
  const time = new Date(1_764_000_000_000 + index * 1_000).toISOString()
  const line = `${time} ${host} sshd[${index}]: Accepted publickey from 10.0.${index % 256}.7 port ${index}\n`
  const kind = index % 100
  if (kind < 80) return { stdout: line.repeat(3) }
  if (kind < 90) return { stdout: 'the same\n', exitCode: kind === 89 ? 2 : 0 }
  if (kind < 93) return { stdout: line.repeat(200), stderr: `${host} odd\n` }
  if (kind === 93) return { stdout: `${'x'.repeat(60_000)}${index}\n` }
  if (index % 3_000 === 94) {
    return { stdout: line, end: { state: 'timed_out', reason: 'exec_timeout', exitCode: null, signal: 'KILL' } }
  }
  return kind < 97 ? { exitCode: 1, stderr: `n${index}: no such file\n` } : undefined
}

async function startWatched(closers: Closers): Promise<Watched> {
  const dataDir = await mkdtemp(join(tmpdir(), 'muster-bench-loop-'))
  closers.add('data', () => rm(dataDir, { recursive: true, force: true }))
  const inventory = join(dataDir, 'inventory.yaml')
  await writeFile(inventory, `defaults: { user: nobody }\nhosts:\n  "n[00001-${HOSTS}]": { labels: { env: prod } }\n`)
  const redis = await startRedis({ dataDir, allowInstall: true, env: process.env, log: () => {} })
  closers.add('redis', () => redis.close())
  const env = { ...process.env, REDIS_URL: redis.url, MUSTER_CONFIG_DIR: dataDir, MUSTER_DATA_DIR: dataDir }
  const script = fileURLToPath(new URL('watched-server.js', import.meta.url))
  const server = fork(script, [resolve('apps/server/dist/main.js')], {
    env: { ...env, MUSTER_PORT: '0', MUSTER_RATE_LIMIT_PER_MIN: '0', LOG_LEVEL: 'warn' },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  closers.add('server', () => stopped(server))
  await once(server, 'message', { signal: AbortSignal.timeout(30_000) })
  const { url } = JSON.parse(await readFile(join(dataDir, 'server.json'), 'utf8'))
  const key = (await readFile(join(dataDir, 'api-key'), 'utf8')).trim()
  const ledger = await openLedger({ redisUrl: redis.url, role: 'worker' })
  closers.add('ledger', () => ledger.close())
  const call: Call = async (method, path, body) => {
    const accept = 'application/json, text/event-stream'
    const response = await fetch(url + path, {
      method,
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', accept },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(120_000),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text.slice(0, 300)}`)
    return text
  }
  const worst = async (): Promise<Worst> => {
    server.send('worst')
    const [answer] = await once(server, 'message', { signal: AbortSignal.timeout(30_000) })
    return answer
  }
  return { call, ledger, worst }
}

async function stopped(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  const exit = once(server, 'exit', { signal: AbortSignal.timeout(20_000) })
  server.kill('SIGTERM')
  await exit
}
