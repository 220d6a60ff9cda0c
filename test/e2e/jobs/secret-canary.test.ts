/**
 * A canary of each secret is looked for everywhere, while its job runs and afterwards: for a command, for sudo, and to
 * log in to hosts that the request names.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { z } from 'zod'
import { use } from '../../support/mcp/tool-call.ts'
import { ownRedis } from '../../support/runtime/own-redis.ts'
import { keyFiles } from '../../support/ssh/key-files.ts'
import { CAN_MAKE_SUDOERS, makeSudoer, type Sudoer } from '../../support/ssh/sudoer.ts'
import { gateFile } from '../../support/stack/gate.ts'
import {
  allOfRedis,
  allProcesses,
  groupsOf,
  redisOf,
  runOf,
  startForSecrets,
} from '../../support/stack/secret-stack.ts'
import type { Stack } from '../../support/stack/stack.ts'

const CANARY = { env: 'canary-env-4Jx8', stdin: 'canary-stdin-9Qm2', passphrase: 'canary-phrase-7Wd3' }
/** Says what it was given without printing it. */
const SUMS = 'printf %s "$TOKEN" | sha256sum | cut -c1-8; sha256sum | cut -c1-8'
const sumOf = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 8)
const SUMS_OF_CANARIES = `${sumOf(CANARY.env)}\n${sumOf(CANARY.stdin)}\n`

let sudoer: Sudoer | undefined
beforeAll(async () => {
  if (CAN_MAKE_SUDOERS) sudoer = await makeSudoer((user) => `${user} ALL=(ALL:ALL) ALL`)
})
afterAll(() => sudoer?.close())

const formsOf = (text: string) => [
  text,
  Buffer.from(text).toString('base64').replaceAll('=', ''),
  encodeURIComponent(text),
]

/** A page or an answer as it is sent. */
async function textOf({ url, apiKey }: Stack, path: string): Promise<string> {
  const headers = { authorization: `Bearer ${apiKey}` }
  const response = await fetch(url + path, { headers, signal: AbortSignal.timeout(20_000) })
  expect([path, response.status]).toEqual([path, 200])
  return await response.text()
}

/** What callers can see of jobs: REST, MCP, and the board with its page for each ticket. */
async function surfaces(stack: Stack, jobs: readonly Job[]): Promise<string> {
  const ofJobs = jobs.flatMap(({ id, host }) => {
    const run = `/runs/${encodeURIComponent(host)}`
    return ['', '/runs', run, '/output', `${run}/output?stream=stdout`].map((path) => `/v1/jobs/${id}${path}`)
  })
  const board = '/board/api/queues?activeQueue=tickets&status='
  const statuses = await Promise.all(
    ['active', 'completed', 'waiting', 'failed'].map((one) => textOf(stack, board + one)),
  )
  const Queues = z.object({
    queues: z.array(z.object({ name: z.string(), jobs: z.array(z.object({ id: z.string() })) })),
  })
  const tickets = statuses
    .flatMap((text) => Queues.parse(JSON.parse(text)).queues)
    .flatMap(({ name, jobs: shown }) => shown.map(({ id }) => `/board/api/queues/${name}/${encodeURIComponent(id)}`))
  const pages = await Promise.all([...ofJobs, '/v1/jobs', '/board', ...tickets].map((path) => textOf(stack, path)))
  const ids = jobs.map(({ id }) => ({ job_id: id }))
  const tools = [
    use(stack, 'list_jobs', {}),
    ...['get_job', 'get_output'].flatMap((name) => ids.map((job) => use(stack, name, job))),
  ]
  return [...statuses, ...pages, JSON.stringify(await Promise.all(tools))].join('\n')
}

/** All files of a Redis: its append-only file, and what it has dumped. */
async function filesOf(redis: Redis): Promise<string> {
  const [, directory] = z.tuple([z.string(), z.string()]).parse(await redis.config('GET', 'dir'))
  const found = await readdir(directory, { recursive: true, withFileTypes: true })
  const files = found.filter((file) => file.isFile()).map((file) => join(file.parentPath, file.name))
  return (await Promise.all(files.map((file) => readFile(file, 'latin1')))).join('\n')
}

/** A job, and one of its hosts. */
type Job = { readonly id: string; readonly host: string }

test('they are nowhere but in the environment of the command itself, and the jobs have all of them', async () => {
  const own = await ownRedis()
  const { user, port, password } = inject('sshd')
  const { directory, encrypted } = await keyFiles(CANARY.passphrase)
  const log = join(directory, 'log')
  const env = { LOG_LEVEL: 'trace', MUSTER_LOG_FILE: log, MUSTER_ADHOC_HOSTS: '127.0.0.0/8' }
  const stack = await startForSecrets({ redisUrl: own.url, env }, sudoer?.user)
  const { redis } = redisOf(stack)
  const gate = await gateFile()
  const wait = `while [ ! -e ${gate.path} ]; do sleep 0.1; done`
  const ofJob = { secret_env: { TOKEN: CANARY.env }, secret_stdin: CANARY.stdin }
  const inInventory = await stack.submit({
    ...ofJob,
    targets: 'h[1-3]',
    command: `${SUMS}; ${wait}`,
    ...(sudoer === undefined ? {} : { sudo: true, sudo_password: sudoer.password }),
    host_limit: 3,
    idempotency_key: 'only-once',
  })
  const private_key = await readFile(encrypted, 'utf8')
  const named = (address: string) => `${user}@${address}:${port}`
  const called = await use(stack, 'run_command', {
    ...ofJob,
    targets: named('127.0.1.5'),
    command: `${SUMS}; ${wait}`,
    connect: { private_key, passphrase: CANARY.passphrase },
    wait_s: 0,
  })
  const byKey = z.object({ job_id: z.string() }).parse(called.structuredContent)
  const jobs: Job[] = [
    { id: inInventory.job_id, host: 'h1' },
    { id: byKey.job_id, host: named('127.0.1.5') },
  ]
  if (password !== null) {
    const byPassword = { ...ofJob, targets: named('127.0.1.6'), command: `${SUMS}; ${wait}`, connect: { password } }
    jobs.push({ id: (await stack.submit(byPassword)).job_id, host: named('127.0.1.6') })
  }
  const printed = async ({ id }: Job) => [...new Set((await groupsOf(stack, id)).map(({ stdout }) => stdout))]
  for (const job of jobs) await expect.poll(() => printed(job), { timeout: 20_000 }).toEqual([SUMS_OF_CANARIES])
  const seen = [JSON.stringify(called), await allOfRedis(redis), await filesOf(redis), await surfaces(stack, jobs)]
  const all = await allProcesses()
  await gate.open()
  for (const { id } of jobs) expect(await stack.ended(id)).toMatchObject({ state: 'succeeded' })
  expect(await groupsOf(stack, inInventory.job_id)).toMatchObject([{ hosts: 'h[1-3]', stdout: SUMS_OF_CANARIES }])
  for (const { id } of jobs) seen.push(await textOf(stack, `/v1/jobs/${id}/events`))
  seen.push(await allOfRedis(redis), await filesOf(redis), await surfaces(stack, jobs), await readFile(log, 'utf8'))
  const everything = seen.join('\n')
  // It is looked for where everything else of the jobs is found: command, sealed text, events, the lines of the worker.
  const sealed = Buffer.from('{"alg":"ECDH-ES"').toString('base64url').slice(0, -2)
  const there = [...jobs.map(({ id }) => id), 'sha256sum', sealed, 'event: ', 'attempt ended', 'setrange', '<base href']
  for (const text of there) expect([text, everything.toLowerCase().includes(text.toLowerCase())]).toEqual([text, true])
  const ofKey = private_key.split('\n').slice(2, -2)
  expect(ofKey.length).toBeGreaterThan(3)
  const secrets = [CANARY.env, CANARY.stdin, CANARY.passphrase, ...ofKey, password ?? [], sudoer?.password ?? []].flat()
  for (const form of secrets.flatMap(formsOf)) {
    expect(everything).not.toContain(form)
    expect(all.filter(({ line }) => line.includes(form))).toEqual([])
  }
  const holders = (secret: string) => all.filter(({ environment }) => environment.includes(secret))
  expect(new Set(holders(CANARY.env).map(({ name }) => name))).toEqual(new Set(['sh', 'sleep']))
  for (const secret of secrets.slice(1)) expect(holders(secret)).toEqual([])
  expect(await runOf(stack, inInventory.job_id)).toMatchObject({ notice: null })
}, 120_000)
