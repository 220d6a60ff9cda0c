/**
 * The main job, end to end: a real server and real workers as processes, a real Redis, and a real OpenSSH sshd that
 * answers on many loopback addresses. What is asserted of a host is read from a file that only the commands write.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { JobAnswer, OPERATIONS } from '@muster/contract'
import { Redis } from 'ioredis'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { WORD_LIMIT_BYTES } from '../../../libs/contract/src/text/command-text.ts'
import { sharedRedisUrl } from '../../support/runtime/shared-redis.ts'
import { fleetFiles, fleetFilesWithBadHosts } from '../../support/stack/fleet-files.ts'
import { startStack } from '../../support/stack/stack.ts'
import { witnessFile } from '../../support/stack/witness.ts'

const MUSTER = resolve('apps/cli/bin/muster.js')

describe('a command on a group of hosts', () => {
  test('runs once on every host, over two workers, and REST tells how it ended', async () => {
    const stack = await startStack({ ...fleetFiles(40), workers: 2 })
    const witness = await witnessFile()
    const submitted = await stack.submit({ targets: '@web', command: `echo ran >> ${witness.path}; echo hello` })
    expect(submitted.job_id).toMatch(/^job_/)
    const job = await stack.ended(submitted.job_id)
    expect(job).toMatchObject({ state: 'succeeded', counts: { succeeded: 40 }, problems: [] })
    expect(await witness.lines()).toHaveLength(40)

    const gathered = OPERATIONS.gather_output.output.parse((await stack.ask('GET', `${job.links.output}`)).body)
    expect(gathered.groups).toMatchObject([{ hosts: 'web[01-40]', count: 40, stdout: 'hello\n', exit_code: 0 }])
    const runs = OPERATIONS.list_runs.output.parse((await stack.ask('GET', job.links.runs)).body).runs
    expect(new Set(runs.map(({ worker }) => worker)).size).toBe(2)
    expect(runs.every(({ remote, exit_code, attempt }) => remote === 'ended' && exit_code === 0 && attempt === 1)).toBe(
      true,
    )
  })

  test('what goes wrong on one host has its own reason and touches no other host', async () => {
    const stack = await startStack({ ...(await fleetFilesWithBadHosts(6)) })
    const { job_id } = await stack.submit({ targets: '@*', command: 'true', connect_timeout_s: 2 })
    const job = await stack.ended(job_id)
    expect(job).toMatchObject({ state: 'partial', counts: { succeeded: 6, unreachable: 4 } })
    const reasons = await Promise.all(
      ['refused', 'silent', 'stranger', 'wrongkey'].map(async (host) => {
        const run = OPERATIONS.get_run.output.parse((await stack.ask('GET', `/v1/jobs/${job_id}/runs/${host}`)).body)
        expect(run).toMatchObject({ state: 'unreachable', remote: 'not_started', safe_to_retry: true, exit_code: null })
        return run.reason
      }),
    )
    expect(reasons).toEqual(['conn_refused', 'conn_timeout', 'host_key_unknown', 'auth_failed'])
  })

  test('command, argv, script, stdin, directory and environment arrive exactly as given', async () => {
    const stack = await startStack({ ...fleetFiles(1) })
    const outputOf = async (request: Record<string, unknown>) => {
      const { job_id } = await stack.submit({ targets: '@web', ...request })
      await stack.ended(job_id)
      const { groups } = OPERATIONS.gather_output.output.parse(
        (await stack.ask('GET', `/v1/jobs/${job_id}/output`)).body,
      )
      return groups[0]
    }
    const hostile = `a b'c"d$(id);rm -rf /\n*`
    expect(await outputOf({ argv: ['printf', '[%s]', hostile, '-n', ''] })).toMatchObject({
      stdout: `[${hostile}][-n][]`,
    })
    expect(await outputOf({ command: 'cat; pwd', stdin: hostile, cwd: '/' })).toMatchObject({ stdout: `${hostile}/\n` })
    expect(await outputOf({ command: 'printf %s "$V"', env: { V: hostile } })).toMatchObject({ stdout: hostile })
    expect(await outputOf({ script: '#!/bin/sh\necho out; echo err >&2; exit 3\n' })).toMatchObject({
      stdout: 'out\n',
      stderr: 'err\n',
      exit_code: 3,
      state: 'failed',
    })
    const longest = `echo ok # ${'x'.repeat(WORD_LIMIT_BYTES - 10)}`
    expect(await outputOf({ command: longest })).toMatchObject({ stdout: 'ok\n', exit_code: 0 })
    expect(await outputOf({ command: 'exit 255' })).toMatchObject({ state: 'failed', exit_code: 255 })
    expect(await outputOf({ command: 'kill -s KILL $$' })).toMatchObject({
      state: 'failed',
      reason: 'signal',
      signal: 'KILL',
    })
  })

  test('a command that runs too long is killed with its children, and that is looked at', async () => {
    const stack = await startStack({ ...fleetFiles(2) })
    const witness = await witnessFile()
    const command = `sh -c 'trap "" TERM; while :; do sleep 0.2; echo alive >> ${witness.path}; done' & wait`
    const { job_id } = await stack.submit({ targets: '@web', command, exec_timeout_s: 1, kill_grace_s: 0.5 })
    const job = await stack.ended(job_id)
    expect(job).toMatchObject({ state: 'failed', counts: { timed_out: 2 } })
    expect(job.problems).toMatchObject([{ state: 'timed_out', reason: 'exec_timeout', hosts: 'web[01-02]' }])
    const { length } = await witness.lines()
    expect(length).toBeGreaterThan(0)
    await promisify(execFile)('sleep', ['0.6'])
    expect(await witness.lines()).toHaveLength(length)
  })

  test('cancelling kills what runs, and what has not started never starts', async () => {
    const stack = await startStack({ ...fleetFiles(10) })
    const witness = await witnessFile()
    const command = `echo began >> ${witness.path}; sleep 60; echo ended >> ${witness.path}`
    const { job_id } = await stack.submit({ targets: '@web', command, concurrency: 3, kill_grace_s: 1 })
    await expect.poll(async () => (await witness.lines()).length, { timeout: 20_000 }).toBe(3)
    const answer = await stack.ask('POST', `/v1/jobs/${job_id}/cancel`)
    expect(answer.status).toBe(202)
    const job = await stack.ended(job_id)
    expect(job).toMatchObject({ state: 'cancelled', counts: { cancelled: 10 } })
    expect(await witness.lines()).toEqual(['began', 'began', 'began'])
    const { runs } = OPERATIONS.list_runs.output.parse((await stack.ask('GET', `/v1/jobs/${job_id}/runs`)).body)
    expect(runs.filter(({ remote }) => remote === 'ended')).toHaveLength(3)
    expect(runs.filter(({ remote }) => remote === 'not_started')).toHaveLength(7)
  })

  test('a worker killed in the middle: what ran is lost, the rest runs elsewhere, nothing runs twice', async () => {
    const stack = await startStack({ ...fleetFiles(12), workers: 2 })
    const witness = await witnessFile()
    const command = `echo ran >> ${witness.path}; sleep 3`
    const { job_id } = await stack.submit({ targets: '@web', command, concurrency: 6 })
    await expect.poll(async () => (await witness.lines()).length, { timeout: 20_000 }).toBeGreaterThanOrEqual(6)
    const [victim] = stack.workers
    if (victim === undefined) throw new Error('no worker was started')
    process.kill(victim.pid, 'SIGKILL')
    const job = await stack.ended(job_id)
    expect(job.counts.lost).toBeGreaterThan(0)
    expect(job.counts.lost + job.counts.succeeded).toBe(12)
    expect(job.state).toBe('partial')
    expect(await witness.lines()).toHaveLength(12)
  }, 90_000)

  test('a worker told to stop ends what it can in time, and kills and owns up to the rest', async () => {
    const stack = await startStack({ ...fleetFiles(1) })
    const witness = await witnessFile()
    const { job_id } = await stack.submit({ targets: '@web', command: `echo began >> ${witness.path}; sleep 60` })
    await expect.poll(async () => (await witness.lines()).length, { timeout: 20_000 }).toBe(1)
    await stack.workers[0]?.stop()
    const job = await stack.ended(job_id)
    expect(job.problems).toMatchObject([{ state: 'lost', reason: 'worker_lost' }])
  }, 60_000)
})

describe('the same job by other ways', () => {
  test('the muster command shows progress, output and an exit status that tells', async () => {
    const stack = await startStack({ ...fleetFiles(5) })
    const muster = (...args: string[]) =>
      promisify(execFile)(process.execPath, [MUSTER, ...args], { env: stack.env }).then(
        ({ stdout, stderr }) => ({ status: 0, stdout, stderr }),
        (error: { code: number; stdout: string; stderr: string }) => ({
          status: error.code,
          stdout: error.stdout,
          stderr: error.stderr,
        }),
      )
    const good = await muster('run', '@web', '--', 'echo hello')
    expect(good).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('── web[01-05] (5 hosts): succeeded\n│ hello\n'),
    })
    const [jobId = ''] = /job_\w{26}/.exec(good.stderr) ?? []
    expect(await muster('output', jobId, 'web03')).toMatchObject({ status: 0, stdout: 'hello\n' })
    expect(await muster('show', jobId)).toMatchObject({ status: 0, stdout: expect.stringContaining('5 succeeded') })
    expect(await muster('run', '@web', '--', 'sh', '-c', 'exit 4')).toMatchObject({ status: 1 })
    expect(await muster('run', 'web01!web01', '--', 'true')).toMatchObject({ status: 3 })
    expect(await muster('run', '@nosuch', '--', 'true')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('@nosuch'),
    })
    expect(await muster('run', '@web', '--wait-s', '1', '--', 'sleep 30')).toMatchObject({ status: 124 })
    expect(await muster('ping', 'web01')).toMatchObject({ status: 0, stdout: expect.stringMatching(/^web01 ok/) })
  }, 60_000)

  test('Ctrl-C detaches and the job goes on; pressed again it cancels', async () => {
    const stack = await startStack({ ...fleetFiles(1) })
    const interrupt = async (presses: number) => {
      const args = [MUSTER, 'run', 'web01', '--kill-grace-s', '0.5', '--', 'sleep 60']
      const child = spawn(process.execPath, args, { env: stack.env, stdio: ['ignore', 'ignore', 'pipe'] })
      let said = ''
      child.stderr.on('data', (bytes) => {
        said += bytes
      })
      const ended = once(child, 'exit')
      await expect.poll(() => said, { timeout: 20_000 }).toMatch(/job_/)
      child.kill('SIGINT')
      await expect.poll(() => said, { timeout: 20_000 }).toContain('Press Ctrl-C once more')
      if (presses > 1) child.kill('SIGINT')
      const [status] = await ended
      return { status, jobId: /job_\w{26}/.exec(said)?.[0] ?? '' }
    }
    const twice = await interrupt(2)
    expect(twice.status).toBe(130)
    expect(await stack.ended(twice.jobId)).toMatchObject({ state: 'cancelled' })
    const detached = await interrupt(1)
    expect(detached.status).toBe(130)
    const { body } = await stack.ask('GET', `/v1/jobs/${detached.jobId}`)
    expect(OPERATIONS.get_job.output.parse(body).ended_at).toBeNull()
  }, 60_000)

  test('an AI agent runs it over MCP and gets the result in the same call', async () => {
    const stack = await startStack({ ...fleetFiles(3) })
    const client = new Client({ name: 'test', version: '1' })
    const headers = { authorization: `Bearer ${stack.apiKey}` }
    await client.connect(new StreamableHTTPClientTransport(new URL(`${stack.url}/mcp`), { requestInit: { headers } }))
    onTestFinished(() => client.close())

    const ran = await client.callTool({
      name: 'run_command',
      arguments: { targets: '@web', command: 'echo hi; exit 7', wait_s: 20 },
    })
    expect(ran.isError ?? false).toBe(false)
    const { job_id, ...answer } = JobAnswer.strict().parse(ran.structuredContent)
    expect(answer).toMatchObject({ state: 'failed', hosts: 3, counts: { failed: 3 }, next_poll_s: null })
    expect(answer.groups).toMatchObject([{ hosts: 'web[01-03]', exit_code: 7, stdout: 'hi\n' }])
    expect(answer.problems).toMatchObject([{ state: 'failed', reason: 'exit_nonzero', hosts: 'web[01-03]' }])

    const one = await client.callTool({ name: 'run_command', arguments: { targets: 'web01', command: 'exit 3' } })
    const { groups, problems } = JobAnswer.parse(one.structuredContent)
    // That is all there is to say.
    expect([groups, problems]).toEqual([[{ hosts: 'web01', count: 1, state: 'failed', exit_code: 3 }], undefined])
    const output = await client.callTool({ name: 'get_output', arguments: { job_id, host: 'web02' } })
    expect(JSON.stringify(output.content)).toContain('hi')
    const tested = await client.callTool({ name: 'test_connection', arguments: { targets: 'web01' } })
    expect(tested.structuredContent).toMatchObject({ groups: [{ hosts: 'web01', ok: true }] })
  }, 60_000)

  test('a password is in no answer, no log, and nowhere in Redis', async (context) => {
    const { password, port, user } = inject('sshd')
    if (password === null) return context.skip('only root can set a password to test with')
    const directory = await mkdtemp(join(tmpdir(), 'muster-password-'))
    onTestFinished(() => rm(directory, { recursive: true, force: true }))
    await writeFile(join(directory, 'password'), `${password}\n`, { mode: 0o600 })
    const host = `{ address: 127.0.1.1, port: ${port}, user: ${user}, password_file: ${join(directory, 'password')} }`
    const log = join(directory, 'log')
    const env = { MUSTER_LOG_FILE: log, LOG_LEVEL: 'trace' }
    const stack = await startStack({ ...fleetFiles(1), inventory: `hosts:\n  web01: ${host}\n`, env })
    const { job_id } = await stack.submit({ targets: 'web01', command: 'echo in' })
    const job = await stack.ended(job_id)
    expect(job.state).toBe('succeeded')

    const redis = new Redis(sharedRedisUrl())
    onTestFinished(() => redis.disconnect())
    // A compressed dump would hide what is looked for.
    await redis.config('SET', 'rdbcompression', 'no')
    const names = await redis.keys(`{${stack.env.MUSTER_PREFIX}}*`)
    expect(names.length).toBeGreaterThan(5)
    const dumps = await Promise.all(names.map((name) => redis.dumpBuffer(name)))
    const hosts = (await stack.ask('GET', '/v1/hosts')).body
    const seen = [...dumps.map(String), JSON.stringify([job, hosts]), await readFile(log, 'utf8')].join('\n')
    expect(seen).toContain(job_id)
    expect(seen).not.toContain(password)
  })

  test('Bull Board knows the tickets of the job by its ID, and holds no command', async () => {
    const stack = await startStack({ ...fleetFiles(1) })
    const { job_id } = await stack.submit({
      targets: '@web',
      command: 'echo canary-command',
      env: { SECRET: 'canary-env' },
    })
    await stack.ended(job_id)
    const board = await fetch(`${stack.url}/board/api/queues?activeQueue=tickets&status=completed`, {
      headers: { authorization: `Basic ${Buffer.from(`me:${stack.apiKey}`).toString('base64')}` },
    })
    const text = await board.text()
    expect(text).toContain(job_id)
    expect(text).not.toContain('canary')
  })
})
