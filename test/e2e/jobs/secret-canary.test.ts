/** A canary of each secret is looked for everywhere, while its job runs and afterwards. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { use } from '../../support/mcp/tool-call.ts'
import { ownRedis } from '../../support/runtime/own-redis.ts'
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

const CANARY = { env: 'canary-env-4Jx8', stdin: 'canary-stdin-9Qm2' }
/** Says what it was given without printing it. */
const SUMS = 'printf %s "$TOKEN" | sha256sum | cut -c1-8; sha256sum | cut -c1-8'
const SUMS_OF_CANARIES = 'c03aa540\n086e4a5e\n'

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

async function temporary(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'muster-canary-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return directory
}

/** What callers can see of a job: REST, MCP, the board. */
async function surfaces(stack: Stack, jobId: string): Promise<string> {
  const ofJob = ['', '/runs', '/runs/h1', '/output', '/runs/h1/output?stream=stdout']
  const statuses = ['active', 'completed', 'waiting', 'failed']
  const paths = [
    ...ofJob.map((path) => `/v1/jobs/${jobId}${path}`),
    '/v1/jobs',
    ...statuses.map((status) => `/board/api/queues?activeQueue=tickets&status=${status}`),
  ]
  const answers = await Promise.all(paths.map((path) => stack.ask('GET', path)))
  for (const { status } of answers) expect(status).toBe(200)
  const tools = ['get_job', 'get_output', 'list_jobs'].map((name) =>
    use(stack, name, name === 'list_jobs' ? {} : { job_id: jobId }),
  )
  return JSON.stringify([answers.map(({ body }) => body), await Promise.all(tools)])
}

test('it is nowhere but in the environment of the command itself, and the job has all of them', async () => {
  const own = await ownRedis()
  const log = join(await temporary(), 'log')
  const account = sudoer === undefined ? {} : { sudo: true, sudo_password: sudoer.password }
  const stack = await startForSecrets(
    { redisUrl: own.url, env: { LOG_LEVEL: 'trace', MUSTER_LOG_FILE: log } },
    sudoer?.user,
  )
  const { redis } = redisOf(stack)
  const gate = await gateFile()
  const { job_id } = await stack.submit({
    targets: 'h[1-3]',
    command: `${SUMS}; while [ ! -e ${gate.path} ]; do sleep 0.1; done`,
    secret_env: { TOKEN: CANARY.env },
    secret_stdin: CANARY.stdin,
    ...account,
    host_limit: 3,
    idempotency_key: 'only-once',
  })
  const printed = async () => (await groupsOf(stack, job_id)).map(({ stdout }) => stdout)
  await expect.poll(printed, { timeout: 20_000 }).toEqual([1, 2, 3].map(() => SUMS_OF_CANARIES))
  const seen = [await allOfRedis(redis), await surfaces(stack, job_id)]
  const all = await allProcesses()
  await gate.open()
  expect(await stack.ended(job_id)).toMatchObject({ state: 'succeeded', counts: { succeeded: 3 } })
  expect(await groupsOf(stack, job_id)).toMatchObject([{ hosts: 'h[1-3]', stdout: SUMS_OF_CANARIES }])
  seen.push(await allOfRedis(redis), await surfaces(stack, job_id), await readFile(log, 'utf8'))
  const directory = z.string().parse(
    z
      .array(z.string())
      .parse(await redis.config('GET', 'dir'))
      .at(1),
  )
  for (const file of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (file.isFile()) seen.push(await readFile(join(file.parentPath, file.name), 'latin1'))
  }
  const everything = seen.join('\n')
  // It is looked for where everything else of the job is found: its command, its sealed text, the lines of its worker.
  const sealed = Buffer.from('{"alg":"ECDH-ES"').toString('base64url').slice(0, -2)
  for (const there of [job_id, 'sha256sum', sealed, 'attempt ended', 'SETRANGE']) {
    expect([there, everything.toLowerCase().includes(there.toLowerCase())]).toEqual([there, true])
  }
  const secrets = [CANARY.env, CANARY.stdin, ...(sudoer === undefined ? [] : [sudoer.password])]
  for (const form of secrets.flatMap(formsOf)) {
    expect(everything).not.toContain(form)
    expect(all.filter(({ line }) => line.includes(form))).toEqual([])
  }
  const holders = (secret: string) => all.filter(({ environment }) => environment.includes(secret))
  expect(new Set(holders(CANARY.env).map(({ name }) => name))).toEqual(new Set(['sh', 'sleep']))
  for (const secret of secrets.slice(1)) expect(holders(secret)).toEqual([])
  expect(await runOf(stack, job_id)).toMatchObject({ notice: null })
}, 90_000)
