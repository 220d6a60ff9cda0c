/** MCP through the SDK's own client over real HTTP, without a worker: jobs are accepted and stay queued. */
import { createHash } from 'node:crypto'
import { HostListAnswer, JobAnswer, JobListAnswer, TargetsAnswer, TOOL_NAMES } from '@muster/contract'
import { appendOutput, claimRun, dispatchRun, finishRun, type Ledger } from '@muster/ledger'
import { describe, expect, test } from 'vitest'
import { ended, start } from '../../support/ledger/held-run.ts'
import { connectClient, tokensOf } from '../../support/mcp/mcp-client.ts'

const NO_JOB = `job_${'a'.repeat(26)}`
/** Hosts whose names do not fold, and a series. */
const FLEET = `
defaults: { user: deploy }
hosts:
${Array.from({ length: 100 }, (_, i) => `  ${nameOf(i)}: { address: ${nameOf(i)}.internal }`).join('\n')}
  "web[01-40]": { address: "10.0.0.[1-40]", labels: { env: prod } }
  web41: { address: 10.0.0.41, labels: { env: prod }, disabled: broken disk }
  db1: { address: db1.internal, port: 2222, jump: bastion }
  bastion: { address: 203.0.113.7 }
`

function nameOf(i: number): string {
  return `${['api', 'cache', 'queue', 'search'][i % 4]}-${createHash('md5')
    .update(`${i}`)
    .digest('hex')
    .slice(0, 8)
    .replace(/\d/g, (d) => 'ghijklmnop'[Number(d)] ?? '')}-eu`
}

const jobOf = (structured: unknown) => JobAnswer.parse(structured)

describe('an AI agent', () => {
  test('is told of every tool, with four hints each, and how they go together', async () => {
    const { tools, client } = await connectClient()
    expect(tools.map((tool) => tool.name)).toEqual(TOOL_NAMES)
    for (const tool of tools) expect(Object.keys(tool.annotations ?? {})).toHaveLength(4)
    expect(client.getServerVersion()?.name).toBe('muster')
    expect(client.getInstructions()).toContain('never instructions')
  })

  test('gets a job ID at once, waits in vain, and is told what to call next', async () => {
    const { use } = await connectClient()
    const run = await use('run_command', { command: 'uptime', targets: '@web', wait_s: 0.1 })
    const job = JobAnswer.strict().parse(run.structured)
    expect([run.isError, job.state, job.hosts, job.counts]).toEqual([false, 'queued', 12, { queued: 12 }])
    expect([job.next_poll_s, job.groups, job.command]).toEqual([2, undefined, undefined])
    expect(JSON.parse(run.text)).toEqual(run.structured)
    const [wait, cancel] = job.next
    expect(wait).toMatchObject({ tool: 'wait_job', arguments: { job_id: job.job_id } })
    const waited = await use(wait?.tool ?? '', { ...wait?.arguments, wait_s: 0.1 })
    expect(waited.structured).toMatchObject({ state: 'queued' })
    expect((await use('get_job', { job_id: job.job_id })).structured).toMatchObject({ command: 'uptime' })
    expect((await use('list_jobs')).structured).toMatchObject({ jobs: [{ job_id: job.job_id }], next: [] })
    const cancelled = await use(cancel?.tool ?? '', cancel?.arguments)
    expect(cancelled.structured).toMatchObject({
      state: 'cancelled',
      counts: { cancelled: 12 },
      problems: [{ state: 'cancelled', reason: 'cancelled_by_user', hosts: 'web[01-12]', count: 12 }],
      next_poll_s: null,
    })
    const after = await use('get_output', { job_id: job.job_id })
    expect(after.text).toContain('cancelled (cancelled_by_user): web[01-12], 12 hosts')
  })

  test('gives a script arguments and stdin, and is told both the arguments and the script later', async () => {
    const { use } = await connectClient()
    const script = { script: '#!/bin/sh\ncat\n', script_args: ['--dry-run', 'a b'], stdin: 'x' }
    const { structured } = await use('run_command', { ...script, targets: 'web01', wait_s: 0 })
    const told = await use('get_job', { job_id: jobOf(structured).job_id })
    expect(told.structured).toMatchObject({
      command: "script with arguments --dry-run 'a b': #!/bin/sh\ncat\n",
    })
    const refused = await use('run_command', { command: 'x', script_args: ['y'], targets: 'web01' })
    expect([refused.isError, refused.text]).toEqual([true, expect.stringMatching(/^invalid_request: script_args: /)])
  })

  test('lets a job that is paused go on with the call that it is told to make, and by that one gate only', async () => {
    const { use, ledger } = await connectClient()
    const fields = { command: 'x', targets: '@web', batches: [1], gate: 'manual', idempotency_key: 'k', wait_s: 0 }
    const first = JobAnswer.parse((await use('run_command', fields)).structured)
    await finishRun(ledger, await start(ledger, first.job_id, 0), ended())
    const { next, ...job } = JobAnswer.parse((await use('run_command', { ...fields, wait_s: 20 })).structured)
    expect(job).toMatchObject({ state: 'paused', batch: { number: 1, of: 12, paused_because: 'gate' } })
    const { tool = '', arguments: call = {} } = next[0] ?? {}
    expect([tool, call]).toEqual(['resume_job', { job_id: job.job_id, batch: 1 }])
    expect((await use(tool, call)).structured).toMatchObject({ state: 'running', batch: { number: 2 } })
    const twice = (await use(tool, call)).text
    expect(twice).toMatch(/^job_not_paused: .* not paused after batch 1/)
    expect(twice).toContain(`Next call, to read that job: get_job {"job_id":"${job.job_id}"}`)
    await finishRun(ledger, await start(ledger, job.job_id, 1), ended())
    // Sent once more it does not open the next gate.
    expect((await use(tool, call)).text).toMatch(
      /^job_not_paused: .* is paused after batch 2, not paused after batch 1/,
    )
    expect((await use('get_job', { job_id: job.job_id })).structured).toMatchObject({ state: 'paused' })
    expect((await use('resume_job', { job_id: job.job_id })).structured).toMatchObject({ batch: { number: 3 } })
  })

  test('sends a command once, however often it is sent with the same idempotency key', async () => {
    const { use } = await connectClient()
    const fields = { command: 'uptime', targets: 'db1', idempotency_key: 'k', wait_s: 0 }
    const [first, again] = [await use('run_command', fields), await use('run_command', fields)]
    expect(jobOf(again.structured).job_id).toBe(jobOf(first.structured).job_id)
    const other = await use('run_command', { ...fields, command: 'date' })
    expect([other.isError, other.text]).toEqual([
      true,
      expect.stringMatching(/^idempotency_conflict: [\s\S]*Job: job_/),
    ])
  })

  test('lists jobs in short rows, and the next page by the call that it is told to make', async () => {
    const { use } = await connectClient()
    for (let i = 0; i < 21; i += 1) {
      const command = `systemctl restart nginx-${i} && curl -fsS http://localhost/health`
      await use('run_command', { command, targets: '@web', title: `restart nginx ${i}`, wait_s: 0 })
    }
    const { structured, text } = await use('list_jobs')
    const { jobs, next } = JobListAnswer.parse(structured)
    expect({ jobs, next }).toEqual(structured)
    console.log(`20 jobs: ${tokensOf(text)} tokens`)
    expect(tokensOf(text)).toBeLessThan(1_500)
    expect(jobs).toHaveLength(20)
    expect(jobs[0]).toMatchObject({ state: 'queued', targets: '@web', hosts: 12, counts: { queued: 12 } })
    const rest = JobListAnswer.parse((await use(next[0]?.tool ?? '', next[0]?.arguments)).structured)
    expect([rest.jobs.map(({ title }) => title), rest.next]).toEqual([['restart nginx 0'], []])
  })

  test('lists many hosts by name and few with all that is known of them, and tests one', async () => {
    const { use } = await connectClient({ inventoryYaml: FLEET })
    const many = await use('list_hosts')
    const page = HostListAnswer.parse(many.structured)
    expect(page).toEqual(many.structured)
    console.log(`100 hosts without a series: ${tokensOf(many.text)} tokens`)
    expect(tokensOf(many.text)).toBeLessThan(3_000)
    expect([page.total, page.shown, page.hosts, page.names.split(',').length]).toEqual([143, 100, undefined, 100])
    const rest = HostListAnswer.parse((await use(page.next[0]?.tool ?? '', page.next[0]?.arguments)).structured)
    expect([rest.shown, rest.disabled]).toEqual([43, 'web41'])
    expect(rest.names).toMatch(/web\[01-41\]/)
    const few = await use('list_hosts', { targets: 'db1' })
    expect(few.structured).toEqual({
      total: 1,
      shown: 1,
      names: 'db1',
      hosts: [{ name: 'db1', address: 'db1.internal', port: 2222, user: 'deploy', jump: 'bastion' }],
      next: [],
    })
    const tested = await use('test_connection', { targets: 'db1', wait_s: 0.1 })
    expect(tested.structured).toMatchObject({ not_ended: 1, groups: [{ hosts: 'db1', ok: null }] })
  })

  test('previews what a target expression selects: all names where they are few, else folded', async () => {
    const { use } = await connectClient({ inventoryYaml: FLEET })
    const { structured } = await use('preview_targets', { targets: 'web*', exclude: 'web01' })
    const preview = TargetsAnswer.parse(structured)
    expect(preview).toEqual(structured)
    expect(preview).toMatchObject({ count: 40, names: 'web[02-41]', labels: { env: { prod: 40 } }, next: [] })
    expect(preview.unavailable).toMatchObject([{ reason: 'host_disabled', hosts: 'web41', count: 1 }])
    expect(preview.in_order).toBeUndefined()
    const few = await use('preview_targets', { targets: 'web*', pick: 3, seed: 1 })
    expect(TargetsAnswer.parse(few.structured).in_order).toHaveLength(3)
    const all = await use('preview_targets', { targets: '@*', exclude: 'db1', pick: 142, seed: 1 })
    const { next, in_order: none } = TargetsAnswer.parse(all.structured)
    expect([none, next]).toMatchObject([
      undefined,
      [{ tool: 'preview_targets', arguments: { exclude: 'db1', seed: 1 } }],
    ])
    const one = TargetsAnswer.parse((await use(next[0]?.tool ?? '', next[0]?.arguments)).structured)
    expect([one.in_order?.length, one.next]).toEqual([142, []])
  })

  test.each([
    [
      'an unknown host',
      'run_command',
      { command: 'x', targets: 'wbe01' },
      /unknown_target: [\s\S]*Nearest names: web01[\s\S]*Next call, [^\n]*: list_hosts \{\}$/,
    ],
    [
      'an empty set',
      'run_command',
      { command: 'x', targets: 'db1', exclude: 'db1' },
      /no_targets: [\s\S]*Change the named field [\s\S]*Field: exclude\nNext call, [^\n]*: list_hosts \{\}$/,
    ],
    [
      'an unknown field',
      'run_command',
      { comand: 'x', targets: 'db1' },
      /invalid_request: comand: there is no such field; did you mean "command"[\s\S]*Nearest names: command$/,
    ],
    [
      'a field that only REST takes',
      'run_command',
      { command: 'x', targets: 'db1', host_limit: 2 },
      /invalid_request: host_limit: there is no such field/,
    ],
    ['a wait that is too long', 'wait_job', { job_id: NO_JOB, wait_s: 46 }, /wait_s: .*45.*; received 46/],
    ['no command', 'run_command', { targets: 'db1' }, /exactly one of command, argv and script/],
    [
      'an unknown job',
      'get_output',
      { job_id: NO_JOB },
      new RegExp(`not_found: [\\s\\S]*Job: ${NO_JOB}\nNext call, .*: list_jobs`),
    ],
    ['a job ID that is none', 'get_job', { job_id: '7' }, /job_id: a job ID looks like job_/],
  ])('is told what to do about %s', async (_what, name, fields, text) => {
    const { use } = await connectClient()
    const answer = await use(name, fields)
    expect([answer.isError, answer.structured, answer.text]).toEqual([true, undefined, expect.stringMatching(text)])
    expect(answer.text).toContain('What to do: ')
  })

  test('is told which tools exist when it makes one up', async () => {
    const { client } = await connectClient()
    await expect(client.callTool({ name: 'run_comand', arguments: {} })).rejects.toThrow(/the tools are run_command, /)
  })
})

describe('output of hosts', () => {
  /** Ends the run of a one-host job as a worker would after a command that printed this. */
  async function printAndEnd(ledger: Ledger, jobId: string, stdout: Buffer): Promise<void> {
    await ledger.redis.set(ledger.keys.worker('w1'), 1)
    const claim = await claimRun(ledger, { job_id: jobId, index: 0, host: 'db1', attempt: 1, reissue: 0 }, 'w1')
    if (claim === undefined) throw new Error('the run could not be claimed')
    await dispatchRun(ledger, claim, { connectMs: 5, mode: 'attached' })
    await appendOutput(ledger, claim, { stream: 'stdout', side: 'head', offset: 0, bytes: stdout })
    const end = (bytes: number) => ({ bytes, omittedBytes: 0, tail: Buffer.alloc(0), sha256: '' })
    await finishRun(ledger, claim, {
      state: 'failed',
      remote: 'ended',
      reason: 'exit_nonzero',
      detail: 'ends\u202e\x1b[2J',
      exitCode: 3,
      signal: null,
      isRetryable: false,
      output: { stdout: end(stdout.length), stderr: end(0), complete: true, digest: 'x' },
    })
  }

  test('comes with the answer when the job ends within the wait, and is safe to show', async () => {
    const { use, ledger } = await connectClient()
    const fields = { command: 'x', targets: 'db1', idempotency_key: 'k' }
    const { job_id } = jobOf((await use('run_command', { ...fields, wait_s: 0 })).structured)
    const waiting = use('run_command', { ...fields, wait_s: 20 })
    await printAndEnd(ledger, job_id, Buffer.from('red \x1b[31m alert'))
    const { isError, structured } = await waiting
    expect(isError).toBe(false)
    expect(structured).toMatchObject({
      state: 'failed',
      problems: [{ hosts: 'db1', exit_code: 3, detail: 'ends\\u202e\\x1b[2J' }],
      groups: [{ hosts: 'db1', state: 'failed', exit_code: 3, stdout: 'red \\x1b[31m alert' }],
      next: [],
    })
  })

  test('is gathered in one call', async () => {
    const { use, ledger } = await connectClient()
    const { structured } = await use('run_command', { command: 'x', targets: 'db1', wait_s: 0 })
    const { job_id } = jobOf(structured)
    const lines = Array.from({ length: 400 }, (_, i) => `line ${i}\n`).join('')
    await printAndEnd(ledger, job_id, Buffer.from(lines))
    const gathered = await use('get_output', { job_id, max_chars: 24_000 })
    expect(gathered.text).toContain('db1, 1 host: failed, exit 3')
    expect(gathered.text).toContain(lines.trimEnd())
  })
})
