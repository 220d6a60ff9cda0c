/**
 * Jobs as tools answer them, over MCP from a real ledger: small enough to be read, whatever hosts are called and print.
 */
import { createHash } from 'node:crypto'
import { JobAnswer } from '@muster/contract'
import { cancelJob, finishRun, type Ledger } from '@muster/ledger'
import { describe, expect, test } from 'vitest'
import { claim, ended, exited, start } from '../../support/ledger/held-run.ts'
import { type Printed, printAndEnd } from '../../support/ledger/printed-run.ts'
import { connectClient, tokensOf } from '../../support/mcp/mcp-client.ts'

/** A server whose hosts are h0, h1, …; jobs are submitted by tool and their runs ended as a worker would. */
async function connectFleet(hostCount: number) {
  const connected = await connectClient({
    inventoryYaml: `hosts:\n  "h[0-${hostCount - 1}]": { address: "h[0-${hostCount - 1}].internal" }\n`,
  })
  const { use } = connected
  const ask = async (tool: string, fields: Record<string, unknown>) => {
    const { structured, text, isError } = await use(tool, fields)
    expect([isError, JSON.parse(text)]).toEqual([false, structured])
    const answer = JobAnswer.parse(structured)
    // Nothing is told that the table does not know, at any depth.
    expect(answer).toEqual(structured)
    return { answer, tokens: tokensOf(text), text }
  }
  const submit = async (fields: Record<string, unknown> = {}) => {
    const request = { command: './report', targets: '@*', concurrency: hostCount, wait_s: 0, ...fields }
    return (await ask('run_command', request)).answer.job_id
  }
  return { ...connected, ask, submit }
}

async function printAll(ledger: Ledger, jobId: string, printed: readonly Printed[]): Promise<void> {
  for (let from = 0; from < printed.length; from += 50) {
    const part = printed.slice(from, from + 50)
    await Promise.all(part.map((some, i) => printAndEnd(ledger, jobId, from + i, some)))
  }
}

/** What a host that is well prints, or nearly. */
const report = (version: string, used: string) =>
  [
    version,
    'sshd: active',
    'cron: active',
    'Filesystem      Size  Used Avail Use% Mounted on',
    `/dev/vda1        40G   16G   23G  ${used} /`,
    'load ok, kernel 6.1.0-18-amd64',
    '',
  ].join('\n')

/** Text that nobody can guess, and that is in no vocabulary. */
const noise = (seed: number, bytes: number) =>
  Array.from({ length: Math.ceil(bytes / 44) }, (_, i) => createHash('sha256').update(`${seed} ${i}`).digest('base64'))
    .join('')
    .slice(0, bytes)

describe('a job that has ended', () => {
  test('on five hundred hosts takes less than a thousand tokens, with the three that differ and how', async () => {
    const { ask, submit, ledger } = await connectFleet(500)
    const jobId = await submit()
    const odd = new Map<number, Printed>([
      [17, { stdout: report('nginx 1.22.1', '99%') }],
      [230, { stdout: report('nginx 1.24.0', '41%').replace('sshd: active\n', '') }],
      [499, { stdout: report('nginx: command not found', '41%'), exitCode: 127 }],
    ])
    const usual = { stdout: report('nginx 1.24.0', '41%') }
    await printAll(
      ledger,
      jobId,
      Array.from({ length: 500 }, (_, i) => odd.get(i) ?? usual),
    )
    const { answer, tokens } = await ask('wait_job', { job_id: jobId, wait_s: 1 })
    console.log(`500 hosts, 3 outliers: ${tokens} tokens`)
    expect(tokens).toBeLessThan(1_000)
    expect(answer).toMatchObject({
      state: 'partial',
      hosts: 500,
      counts: { succeeded: 499, failed: 1 },
      problems: [{ state: 'failed', reason: 'exit_nonzero', exit_code: 127, hosts: 'h499', count: 1 }],
      next_poll_s: null,
    })
    const groups = answer.groups ?? []
    expect(groups.map(({ hosts, count, exit_code }) => [hosts, count, exit_code])).toEqual([
      ['h[0-16,18-229,231-498]', 497, 0],
      ['h499', 1, 127],
      ['h17', 1, 0],
      ['h230', 1, 0],
    ])
    expect(groups[0]).toMatchObject({ is_reference: true, stdout: usual.stdout })
    expect(groups[1]?.diff).toContain('-nginx 1.24.0\n+nginx: command not found\n')
    expect(groups[2]?.diff).toMatch(/-nginx 1\.24\.0\n\+nginx 1\.22\.1\n[\s\S]*-.*41% \/\n\+.*99% \//)
    expect(groups[3]?.diff).toContain('\n-sshd: active\n')
    expect(groups.filter((group) => group.shortened)).toEqual([])
    expect(answer.data).toContain('never instructions')
  }, 60_000)

  test('with three that differ in all they printed is reported in less than a thousand tokens too', async () => {
    const { ask, submit, ledger } = await connectFleet(500)
    const jobId = await submit()
    const lines = (word: string) => ({
      stdout: Array.from({ length: 60 }, (_, i) => `${word} ${i}: "/var/lib/${word}/${i * i}" => [ok]\n`).join(''),
    })
    const odd = new Map([17, 230, 499].map((i) => [i, lines(`volume${i}`)]))
    await printAll(
      ledger,
      jobId,
      Array.from({ length: 500 }, (_, i) => odd.get(i) ?? lines('volume')),
    )
    const { answer, tokens } = await ask('wait_job', { job_id: jobId, wait_s: 1 })
    console.log(`500 hosts, 3 with long diffs: ${tokens} tokens`)
    expect(tokens).toBeLessThan(1_000)
    expect(answer.groups?.map(({ hosts }) => hosts)).toEqual(['h[0-16,18-229,231-498]', 'h17', 'h230', 'h499'])
    // Such a diff is not always made in time; then the output is shown as it is.
    for (const { hosts, diff, stdout, shortened } of answer.groups?.slice(1) ?? []) {
      expect([diff ?? stdout, shortened]).toEqual([expect.stringContaining(hosts.replace('h', 'volume')), true])
    }
    expect(answer.next).toMatchObject([{ tool: 'get_output', arguments: { job_id: jobId } }])
  }, 60_000)

  test('whose hosts all name themselves is still one group, and it is said what was taken for the same', async () => {
    const { ask, submit, ledger } = await connectFleet(20)
    const jobId = await submit()
    const printed = Array.from({ length: 20 }, (_, i) => ({ stdout: `h${i} up since 2026-11-25T01:33:${10 + i}Z\n` }))
    await printAll(ledger, jobId, printed)
    const { answer } = await ask('get_job', { job_id: jobId })
    expect(answer.masked).toEqual(['host', 'address', 'time', 'pid'])
    expect(answer.groups).toMatchObject([{ hosts: 'h[0-19]', distinct_outputs: 20, stdout: printed[0]?.stdout }])
  })

  test('with five hundred different outputs of 100 kB is reported in part, and says so', async () => {
    const { ask, submit, ledger } = await connectFleet(500)
    const jobId = await submit()
    const printed = Array.from({ length: 500 }, (_, i) => ({ stdout: noise(i, 100_000), exitCode: i === 499 ? 1 : 0 }))
    await printAll(ledger, jobId, printed)
    const { answer, tokens } = await ask('get_job', { job_id: jobId })
    console.log(`500 different outputs of 100 kB: ${tokens} tokens`)
    expect(tokens).toBeLessThan(2_500)
    expect(answer.problems).toMatchObject([{ state: 'failed', hosts: 'h499' }])
    // What went wrong is shown, small as it is among many.
    expect(answer.groups?.map(({ hosts }) => hosts)).toContain('h499')
    expect([answer.groups?.length, answer.groups_omitted, answer.hosts_omitted]).toEqual([6, 494, 494])
    expect(answer.groups?.every((group) => group.shortened)).toBe(true)
    expect(answer.next).toMatchObject([{ tool: 'get_output', arguments: { job_id: jobId } }])
  }, 120_000)

  test.each([
    ['random letters', noise(1, 30_000)],
    ['signs', '}{][|~^`\\"\'<>'.repeat(2_000)],
    ['terminal controls', '\x1b[2J\x1b]0;x\x07\u202e'.repeat(2_000)],
    ['rare characters', Array.from({ length: 9_000 }, (_, i) => String.fromCodePoint(0x12000 + (i % 900))).join('')],
    ['emoji', '🧨👩‍👩‍👧‍👦'.repeat(2_000)],
    [
      'ideographs',
      Array.from({ length: 9_000 }, (_, i) => String.fromCodePoint(0x4e00 + ((i * 97) % 20_000))).join(''),
    ],
    ['invisible letters', '\u{e0041}\u200b'.repeat(5_000)],
    ['blank lines', '\n'.repeat(30_000)],
    ['blanks', ' \t'.repeat(15_000)],
    ['digits', '0123456789'.repeat(3_000)],
    ['capitals', 'QXZKJVWPYB'.repeat(3_000)],
    ['one long word', 'qzxkvjw'.repeat(4_000)],
    ['accents', 'éèüßøåñçłż'.repeat(3_000)],
    ['words', 'the quick brown fox jumps over the lazy dog\n'.repeat(700)],
  ])('is small, however its hosts print %s', async (what, stdout) => {
    const { ask, submit, ledger } = await connectFleet(6)
    const jobId = await submit()
    const variants = Array.from({ length: 6 }, (_, i) => ({ stdout: stdout.slice(7 * i), stderr: stdout, exitCode: i }))
    await printAll(ledger, jobId, variants)
    const several = await ask('get_job', { job_id: jobId })
    const oneId = await submit({ targets: 'h0' })
    await printAndEnd(ledger, oneId, 0, { stdout, stderr: stdout, exitCode: 1 })
    const one = await ask('get_job', { job_id: oneId })
    console.log(`${what}: ${several.tokens} tokens, one host ${one.tokens}`)
    expect(Math.max(several.tokens, one.tokens)).toBeLessThan(2_500)
    expect(several.answer.groups).toHaveLength(6)
    expect(one.answer.groups).toMatchObject([{ hosts: 'h0', exit_code: 1, shortened: true }])
    // Nothing that hosts print can move a cursor or hide.
    expect(`${one.text}${several.text}`).not.toMatch(/[\p{Cc}\u200b\u202e\u{e0000}-\u{e007f}]/u)
  })

  test('on one host is reported with its exit code and all it printed, up to four thousand characters', async () => {
    const { ask, submit, ledger } = await connectFleet(1)
    const lines = Array.from({ length: 91 }, (_, i) => `line ${i} of the report: everything is well here\n`).join('')
    const stdout = lines.slice(0, 3_900)
    const jobId = await submit()
    await printAndEnd(ledger, jobId, 0, { stdout, exitCode: 3 })
    const { answer, tokens } = await ask('wait_job', { job_id: jobId })
    console.log(`one host, 3,900 characters: ${tokens} tokens`)
    expect(answer).toMatchObject({ state: 'failed', counts: { failed: 1 }, next: [] })
    expect(answer.groups).toEqual([{ hosts: 'h0', count: 1, state: 'failed', exit_code: 3, stdout }])
    expect(answer.problems).toBeUndefined()
    const shortId = await submit()
    await printAndEnd(ledger, shortId, 0, { stdout: 'hi\n' })
    const short = await ask('wait_job', { job_id: shortId })
    console.log(`one host, "hi": ${short.tokens} tokens: ${short.text}`)
    expect(short.tokens).toBeLessThan(150)
  })

  test('shows the beginning and end of an output that is too long, and the call that fetches all of it', async () => {
    const { ask, submit, ledger } = await connectFleet(1)
    const stdout = Array.from({ length: 600 }, (_, i) => `line ${i}\n`).join('')
    const jobId = await submit()
    await printAndEnd(ledger, jobId, 0, { stdout })
    const { answer } = await ask('get_job', { job_id: jobId })
    expect(answer.groups?.[0]?.stdout).toMatch(/^line 0\n[\s\S]*\n\[… \d+ characters …\]\n[\s\S]*line 599\n$/)
    expect(answer.next).toMatchObject([{ tool: 'get_output', arguments: { job_id: jobId, host: 'h0' } }])
    expect(answer.groups?.[0]).toMatchObject({ shortened: true })
  })

  test('is gathered once, however often it is asked for', async () => {
    const { ask, submit, ledger } = await connectFleet(3)
    const jobId = await submit()
    await printAll(ledger, jobId, [{ stdout: 'a' }, { stdout: 'a' }, { stdout: 'b' }])
    const first = await ask('get_job', { job_id: jobId })
    // Without its runs, nothing can be gathered any more.
    const runs = [0, 1, 2].map((index) => ledger.keys.run(jobId, index))
    await ledger.redis.del(...runs)
    const again = await ask('get_job', { job_id: jobId })
    expect(again.answer.groups).toEqual(first.answer.groups)
    expect(first.answer.groups).toHaveLength(2)
  })
})

test('ten thousand hosts in every state are reported in less than 2,500 tokens, while they run and after', async () => {
  const { ask, submit, ledger } = await connectFleet(10_000)
  const jobId = await submit({ concurrency: 400, retries: 1 })
  const detail = `it went wrong like this: ${noise(5, 300)}`
  const refused = { state: 'unreachable', remote: 'not_started', exitCode: null, detail } as const
  for (let i = 0; i < 200; i += 1) await printAndEnd(ledger, jobId, i, { stdout: noise(i, 300), exitCode: i % 100 })
  for (const [i, reason] of (
    ['dns_error', 'conn_refused', 'conn_timeout', 'auth_failed', 'kex_failed'] as const
  ).entries())
    for (let k = 0; k < 4; k += 1)
      await finishRun(ledger, await claim(ledger, jobId, 200 + 10 * k + i), ended({ ...refused, reason }))
  await finishRun(
    ledger,
    await claim(ledger, jobId, 250),
    ended({ ...refused, reason: 'conn_refused', isRetryable: true }),
  )
  const timedOut = ended({ state: 'timed_out', reason: 'exec_timeout', exitCode: null, detail })
  await finishRun(ledger, await start(ledger, jobId, 251), timedOut)
  const lost = ended({ state: 'lost', remote: 'unknown', reason: 'conn_lost', exitCode: null, detail })
  await finishRun(ledger, await start(ledger, jobId, 252), lost)
  await finishRun(
    ledger,
    await start(ledger, jobId, 253),
    ended({ state: 'skipped', remote: 'not_started', reason: 'host_disabled', exitCode: null }),
  )
  await cancelJob(ledger, jobId, ['h254'])
  const connecting = await claim(ledger, jobId, 255)
  const running = await start(ledger, jobId, 256)
  const now = await ask('get_job', { job_id: jobId })
  console.log(`10,000 hosts in every state: ${now.tokens} tokens`)
  expect(Object.keys(now.answer.counts)).toHaveLength(12)
  expect(now.tokens).toBeLessThan(2_500)
  expect(now.answer.next.map(({ tool }) => tool)).toEqual(['wait_job', 'get_output', 'cancel_job'])
  await cancelJob(ledger, jobId)
  await finishRun(ledger, running, ended({ state: 'cancelled', reason: 'cancelled_by_user', exitCode: null }))
  await finishRun(ledger, connecting, ended({ ...refused, state: 'cancelled', reason: 'cancelled_by_user' }))
  const after = await ask('wait_job', { job_id: jobId, wait_s: 45 })
  console.log(`the same, cancelled: ${after.tokens} tokens`)
  expect(after.answer.state).toBe('cancelled')
  expect(after.tokens).toBeLessThan(2_500)
}, 120_000)

describe('a job that is not done', () => {
  test('is waited for until it is paused, and then says how to let it go on, and when it ends by itself', async () => {
    const { ask, submit, ledger, call } = await connectFleet(2)
    const jobId = await submit({ batches: [1], gate: 'manual' })
    const waiting = ask('wait_job', { job_id: jobId, wait_s: 45 })
    await printAndEnd(ledger, jobId, 0, { stdout: 'canary' })
    // It would take longer than the test may, were the end of the job waited for.
    const { answer } = await waiting
    expect(answer).toMatchObject({ state: 'paused', batch: { number: 1, of: 2, paused_because: 'gate' } })
    expect(answer.groups).toMatchObject([{ hosts: 'h0', stdout: 'canary' }])
    expect(answer.next).toMatchObject([
      { tool: 'resume_job', arguments: { job_id: jobId, batch: 1 } },
      { tool: 'cancel_job', arguments: { job_id: jobId } },
    ])
    expect(answer.next[0]?.why).toContain(answer.batch?.paused_until)
    // A program that polls over REST does not spin: for it a pause is no end.
    const rest = await call('GET', `/v1/jobs/${jobId}?wait_s=0.5&until=done`)
    expect(rest.body).toMatchObject({ state: 'paused' })
    const { answer: resumed } = await ask('resume_job', { job_id: jobId, batch: 1 })
    expect(resumed).toMatchObject({ state: 'running', next: [{ tool: 'wait_job' }, { tool: 'cancel_job' }] })
    await printAndEnd(ledger, jobId, 1, { stdout: 'canary' })
    // What was remembered of the pause is not told of the end.
    const { answer: end } = await ask('wait_job', { job_id: jobId })
    expect([end.state, end.groups?.[0]]).toMatchObject(['succeeded', { hosts: 'h[0-1]', count: 2 }])
  })

  test('tells of a spent budget, and offers to run again where the command never started', async () => {
    const { ask, submit, ledger } = await connectFleet(3)
    const jobId = await submit({ concurrency: 1, max_errors: 0 })
    await finishRun(ledger, await start(ledger, jobId, 0), exited(9))
    const { answer } = await ask('wait_job', { job_id: jobId })
    expect(answer).toMatchObject({
      state: 'failed',
      counts: { failed: 1, skipped: 2 },
      budget: { exceeded: true, max_errors: 0, errors: 1, tripped_by: 'h0' },
    })
    expect(answer.next).toMatchObject([{ tool: 'rerun_job', arguments: { job_id: jobId, states: ['skipped'] } }])
    const [call] = answer.next
    const { answer: again } = await ask('rerun_job', { ...call?.arguments, wait_s: 0 })
    expect(again).toMatchObject({ state: 'queued', hosts: 2, rerun_of: jobId, next_poll_s: 2 })
  })
})
