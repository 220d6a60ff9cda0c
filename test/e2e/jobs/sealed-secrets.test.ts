/** Secrets of a job, end to end: sealed by the server, opened by the worker, gone with the job; or nothing runs. */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { dropOldKeys, makeKeys, rotateKeys, WORKER_KEYS } from '@muster/trust'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CAN_MAKE_SUDOERS, makeSudoer, type Sudoer } from '../../support/ssh/sudoer.ts'
import { gateFile } from '../../support/stack/gate.ts'
import { groupsOf, redisOf, runOf, startForSecrets } from '../../support/stack/secret-stack.ts'
import { type Stack, UNSIGNED } from '../../support/stack/stack.ts'

const TOKEN = 'canary-env-4Jx8'
const STDIN = 'first canary line\nsecond canary line\n'
/** Proves what it was given, and leaves a trace that it ran. */
const PROOF = '[ "$TOKEN" = "canary-$A-4Jx8" ] && cat | wc -c'
const REQUEST = { targets: 'h1', command: PROOF, env: { A: 'env' }, secret_env: { TOKEN }, secret_stdin: STDIN }

const unreadable = (detail: unknown) => ({
  state: 'skipped',
  reason: 'secrets_unreadable',
  remote: 'not_started',
  safe_to_retry: true,
  detail,
})

/** Submits it while no worker is there, lets `change` happen, and starts a worker. */
async function afterChange(stack: Stack, change: (jobId: string) => Promise<unknown>, request: object = REQUEST) {
  const { job_id } = await stack.submit({ ...REQUEST, ...request })
  await change(job_id)
  await stack.startWorker()
  await stack.ended(job_id)
  return { jobId: job_id, run: await runOf(stack, job_id) }
}

test('the command gets what is sealed beside what is not, durable too, and Redis has it until the end', async () => {
  const stack = await startForSecrets()
  const { redis, key } = redisOf(stack)
  const gate = await gateFile()
  for (const durable of [false, true]) {
    const command = `${PROOF}; until [ -e ${gate.path} ]; do sleep 0.1; done`
    const { job_id } = await stack.submit({ ...REQUEST, durable, command })
    expect(await redis.exists(key(`job:${job_id}:secrets`))).toBe(1)
    await gate.open()
    expect(await stack.ended(job_id)).toMatchObject({ state: 'succeeded' })
    expect(await groupsOf(stack, job_id)).toMatchObject([{ stdout: `${STDIN.length}\n` }])
    expect(await redis.exists(key(`job:${job_id}:secrets`))).toBe(0)
    expect(await redis.hexists(key(`job:${job_id}`), 'secrets_bytes')).toBe(0)
  }
}, 90_000)

test('what the command prints of them is masked byte by byte, counted as it is, and told', async () => {
  const stack = await startForSecrets()
  const command = `printf '%s' "$TOKEN" | base64; printf '%s|' kan arie; echo "<$TOKEN>" >&2; cat`
  for (const durable of [false, true]) {
    const { job_id } = await stack.submit({ ...REQUEST, durable, command })
    expect(await stack.ended(job_id)).toMatchObject({ state: 'succeeded' })
    const base64 = Buffer.from(TOKEN).toString('base64')
    const lines = STDIN.replaceAll(/[^\n]/g, '*')
    expect(await groupsOf(stack, job_id)).toMatchObject([
      { stdout: expect.stringMatching(/^\*+[^*]{0,4}\nkan\|arie\|/), stderr: `<${'*'.repeat(TOKEN.length)}>\n` },
    ])
    const [group] = await groupsOf(stack, job_id)
    expect(group?.stdout.endsWith(lines) || group?.stdout.endsWith('*'.repeat(STDIN.length))).toBe(true)
    const stdout = { bytes: base64.length + 1 + 9 + STDIN.length, omitted_bytes: 0 }
    const notice = 'secrets of the job were printed; each of their bytes is shown as "*"'
    expect(await runOf(stack, job_id)).toMatchObject({ stdout, notice })
  }
}, 90_000)

test('a health check that prints one of them shows it neither whole nor cut', async () => {
  const stack = await startForSecrets()
  // Of what it prints, the last 300 characters are quoted: the cut goes through the first of the two.
  const check = `echo "$TOKEN$(printf %140s | tr " " x)$TOKEN$(printf %134s | tr " " y)"; exit 1`
  const health_check = { command: check }
  const { job_id } = await stack.submit({ targets: 'h1', command: 'true', secret_env: { TOKEN }, health_check })
  await stack.ended(job_id)
  const { state, reason, detail } = await runOf(stack, job_id)
  expect([state, reason]).toEqual(['failed', 'health_check'])
  expect(detail).toMatch(/: \*{11}x{140}\*{15}y+…$/)
  for (let at = 0; at + 4 <= TOKEN.length; at += 1) expect(detail).not.toContain(TOKEN.slice(at, at + 4))
}, 60_000)

describe('nothing runs without the secrets', () => {
  test('a job whose secrets Redis has lost runs nothing', async () => {
    const stack = await startForSecrets({ workers: 0 })
    const { redis, key } = redisOf(stack)
    const { run } = await afterChange(stack, (id) => redis.del(key(`job:${id}:secrets`)))
    expect(run).toMatchObject(unreadable(expect.stringMatching(/^Redis has 0 of \d+ bytes of the secrets/)))
  }, 60_000)

  test('secrets of another job, of other hosts or of another command, and damaged ones, run nothing', async () => {
    // What is signed would be refused before.
    const stack = await startForSecrets({ workers: 0, env: UNSIGNED })
    const { redis, key } = redisOf(stack)
    const jobs: string[] = []
    for (let i = 0; i < 5; i += 1) jobs.push((await stack.submit({ ...REQUEST, host_limit: 5 })).job_id)
    const [first = '', second = '', third = '', fourth = '', fifth = ''] = jobs
    const sealed = (id: string) => key(`job:${id}:secrets`)
    await redis.copy(sealed(second), sealed(first), 'REPLACE')
    await redis.hset(key(`job:${first}`), 'secrets_bytes', await redis.strlen(sealed(first)))
    await redis.lset(key(`job:${second}:hosts`), 0, 'h2')
    await redis.hset(key(`run:${second}:0`), 'host', 'h2')
    const spec = JSON.parse((await redis.hget(key(`job:${third}`), 'spec')) ?? '')
    await redis.hset(key(`job:${third}`), 'spec', JSON.stringify({ ...spec, command: 'cat; echo "$TOKEN"' }))
    await redis.setrange(sealed(fourth), (await redis.strlen(sealed(fourth))) - 20, 'xxxxxxxxxxxxxxxxxxxx')
    // The run alone is sent to another host than the frozen set has.
    await redis.hset(key(`run:${fifth}:0`), 'host', 'h3')
    await stack.startWorker()
    const details = [
      [first, 'h1', `the sealed secrets are those of job ${second}`],
      [second, 'h2', 'the secrets were sealed for other hosts'],
      [third, 'h1', 'the secrets were sealed for another command'],
      [fourth, 'h1', 'the sealed secrets are damaged'],
    ]
    for (const [id = '', host = '', detail] of details) {
      expect(await stack.ended(id)).toMatchObject({ state: 'failed', counts: { skipped: 1 } })
      expect(await runOf(stack, id, host)).toMatchObject(unreadable(detail))
    }
    await stack.ended(fifth)
    const [problem] = (await stack.ask('GET', `/v1/jobs/${fifth}`).then(({ body }) => JSON.stringify(body))).match(
      /the secrets were not sealed for h3/,
    ) ?? ['']
    expect(problem).toBe('the secrets were not sealed for h3')
  }, 60_000)

  test('a worker without keys runs no job with secrets, and says so at its start', async () => {
    const stack = await startForSecrets({ workers: 0, env: { MUSTER_WORKER_KEY_FILE: '' } })
    const { run } = await afterChange(stack, async () => {})
    expect(run).toMatchObject(unreadable('this worker has no MUSTER_WORKER_KEY_FILE to open secrets with'))
  }, 60_000)

  test('whose key is gone from the file, which is read anew for each job', async () => {
    const stack = await startForSecrets({ workers: 0 })
    const { run, jobId } = await afterChange(stack, async () => {
      await rotateKeys(WORKER_KEYS, stack.dataDir)
      await dropOldKeys(WORKER_KEYS, stack.dataDir)
    })
    expect(run).toMatchObject(unreadable(expect.stringMatching(/^the secrets were sealed with the key \S+, and this/)))
    expect(jobId).not.toBe('')
    const next = await stack.submit(REQUEST)
    expect(await stack.ended(next.job_id)).toMatchObject({ state: 'succeeded' })
    await writeFile(join(stack.dataDir, 'worker-keys.json'), '{}')
    const broken = await stack.submit(REQUEST)
    await stack.ended(broken.job_id)
    expect(await runOf(stack, broken.job_id)).toMatchObject(unreadable(expect.stringContaining('it is no JWK set')))
  }, 60_000)
})

test('what was sealed before a rotation is opened after it, and a new key needs no restart', async () => {
  const stack = await startForSecrets({ workers: 0 })
  const { redis, key } = redisOf(stack)
  const keyIdOf = async (id: string) => {
    const [header = ''] = ((await redis.get(key(`job:${id}:secrets`))) ?? '').split('.')
    return JSON.parse(Buffer.from(header, 'base64url').toString()).kid
  }
  const before = await stack.submit(REQUEST)
  const { made } = await rotateKeys(WORKER_KEYS, stack.dataDir)
  const after = await stack.submit(REQUEST)
  expect([await keyIdOf(before.job_id), await keyIdOf(after.job_id)]).toEqual([
    expect.not.stringMatching(made[0] ?? ''),
    made[0],
  ])
  await stack.startWorker()
  for (const { job_id } of [before, after]) expect(await stack.ended(job_id)).toMatchObject({ state: 'succeeded' })
}, 60_000)

test('a rerun has secrets that were kept, over several reruns, and asks for those that were not', async () => {
  const stack = await startForSecrets()
  const { redis, key } = redisOf(stack)
  const failing = { ...REQUEST, targets: 'h[1-2]', command: `${PROOF}; exit 3` }
  const kept = await stack.submit({ ...failing, keep_secrets: true })
  await stack.ended(kept.job_id)
  expect(await redis.exists(key(`job:${kept.job_id}:secrets`))).toBe(1)
  let last = kept.job_id
  for (let i = 0; i < 2; i += 1) {
    const again = await stack.ask('POST', `/v1/jobs/${last}/rerun`, {})
    expect(again.status).toBe(202)
    last = JSON.parse(JSON.stringify(again.body)).job_id
    await stack.ended(last)
    expect(await groupsOf(stack, last)).toMatchObject([{ hosts: 'h[1-2]', stdout: `${STDIN.length}\n`, exit_code: 3 }])
  }

  const gone = await stack.submit(failing)
  await stack.ended(gone.job_id)
  const refused = await stack.ask('POST', `/v1/jobs/${gone.job_id}/rerun`, {})
  expect(refused).toMatchObject({ status: 409, body: { code: 'secrets_not_kept', job_id: gone.job_id } })
  expect(JSON.stringify(refused.body)).toContain('were not kept: give secret_env.TOKEN, secret_stdin with the rerun')
  const half = await stack.ask('POST', `/v1/jobs/${gone.job_id}/rerun`, { secret_env: { TOKEN } })
  expect(half).toMatchObject({ status: 409, body: { code: 'secrets_not_kept' } })
  const other = await stack.ask('POST', `/v1/jobs/${gone.job_id}/rerun`, { ...SECRETS, secret_env: { TOKEN, B: 'b' } })
  expect(other).toMatchObject({ status: 400, body: { code: 'invalid_request', field: 'secret_env' } })
  const given = await stack.ask('POST', `/v1/jobs/${gone.job_id}/rerun`, SECRETS)
  expect(given.status).toBe(202)
  const { job_id } = JSON.parse(JSON.stringify(given.body))
  await stack.ended(job_id)
  expect(await groupsOf(stack, job_id)).toMatchObject([{ hosts: 'h[1-2]', stdout: `${STDIN.length}\n` }])
}, 90_000)

const SECRETS = { secret_env: { TOKEN }, secret_stdin: STDIN }

describe('the password for sudo of a request', () => {
  let sudoer: Sudoer | undefined
  beforeAll(async () => {
    if (CAN_MAKE_SUDOERS) sudoer = await makeSudoer((user) => `${user} ALL=(ALL:ALL) ALL`)
  })
  afterAll(() => sudoer?.close())

  test('goes to sudo; a wrong one is refused once, and a rerun may bring the right one', async (context) => {
    if (sudoer === undefined) return context.skip('only root can make accounts and rules for sudo to test with')
    const stack = await startForSecrets({}, sudoer.user)
    const sudo = { targets: 'h1', command: 'id -un', sudo: true }
    const right = await stack.submit({ ...sudo, sudo_password: sudoer.password })
    expect(await stack.ended(right.job_id)).toMatchObject({ state: 'succeeded' })
    expect(await groupsOf(stack, right.job_id)).toMatchObject([{ stdout: 'root\n' }])
    const wrong = await stack.submit({ ...sudo, sudo_password: 'canary-wrong' })
    await stack.ended(wrong.job_id)
    const denied = await runOf(stack, wrong.job_id)
    expect(denied).toMatchObject({ state: 'failed', reason: 'sudo_denied', remote: 'not_started' })
    expect(denied.detail).not.toContain('canary')
    const none = await stack.submit(sudo)
    await stack.ended(none.job_id)
    expect(await runOf(stack, none.job_id)).toMatchObject({ reason: 'sudo_password_required' })
    const again = await stack.ask('POST', `/v1/jobs/${none.job_id}/rerun`, { sudo_password: sudoer.password })
    const { job_id } = JSON.parse(JSON.stringify(again.body))
    expect(await stack.ended(job_id)).toMatchObject({ state: 'succeeded' })
    const refused = await stack.ask('POST', `/v1/jobs/${wrong.job_id}/rerun`, {})
    expect(refused).toMatchObject({ status: 409, body: { code: 'secrets_not_kept' } })
  }, 90_000)

  test('of a durable command is there for the worker that takes over', async (context) => {
    if (sudoer === undefined) return context.skip('only root can make accounts and rules for sudo to test with')
    const stack = await startForSecrets({}, sudoer.user)
    const gate = await gateFile()
    const command = `touch ${gate.path}.ran; until [ -e ${gate.path} ]; do sleep 0.1; done; id -un; printf %s "$TOKEN"`
    const secrets = { sudo_password: sudoer.password, secret_env: { TOKEN } }
    const { job_id } = await stack.submit({ targets: 'h1', command, sudo: true, durable: true, ...secrets })
    await expect.poll(async () => (await runOf(stack, job_id)).state, { timeout: 20_000 }).toBe('running')
    const [worker] = stack.workers
    if (worker === undefined) throw new Error('no worker was started')
    process.kill(worker.pid, 'SIGKILL')
    await stack.startWorker()
    await gate.open()
    expect(await stack.ended(job_id)).toMatchObject({ state: 'succeeded' })
    expect(await groupsOf(stack, job_id)).toMatchObject([{ stdout: `root\n${'*'.repeat(TOKEN.length)}` }])
  }, 90_000)
})

test('a durable command whose password cannot be opened by the worker that takes over is lost', async () => {
  const stack = await startForSecrets()
  const gate = await gateFile()
  const command = `until [ -e ${gate.path} ]; do sleep 0.1; done; exit 0`
  const { job_id } = await stack.submit({ targets: 'h1', command, durable: true, secret_env: { TOKEN } })
  await expect.poll(async () => (await runOf(stack, job_id)).state, { timeout: 20_000 }).toBe('running')
  const [worker] = stack.workers
  if (worker === undefined) throw new Error('no worker was started')
  process.kill(worker.pid, 'SIGKILL')
  await stack.startWorker({ MUSTER_WORKER_KEY_FILE: '' })
  await stack.ended(job_id)
  expect(await runOf(stack, job_id)).toMatchObject({ state: 'lost', reason: 'secrets_unreadable', remote: 'unknown' })
  await gate.open()
}, 90_000)

test('a worker whose key file cannot be used does not start, and says what to correct', async () => {
  const stack = await startForSecrets({ workers: 0 })
  await rm(join(stack.dataDir, 'worker-keys.json'))
  await expect(stack.startWorker()).rejects.toThrow(/worker-keys\.json cannot be used: there is no such file/)
  await makeKeys(WORKER_KEYS, stack.dataDir)
  await stack.startWorker()
}, 60_000)
