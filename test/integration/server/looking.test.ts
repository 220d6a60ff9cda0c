/**
 * Looking at many hosts: what is told of hundreds in few words, and of those of which nothing is known. No SSH here.
 */
import { OPERATIONS } from '@muster/contract'
import { finishRun, type Ledger } from '@muster/ledger'
import { encode } from 'gpt-tokenizer'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { ended, exited, start } from '../../support/ledger/held-run.ts'
import { claimIndex, endAs } from '../../support/ledger/ledger-worker.ts'
import { printAndEnd } from '../../support/ledger/printed-run.ts'
import { startTestServer } from '../../support/server/server.ts'

const ToolAnswer = z.object({
  result: z.object({
    content: z.array(z.object({ text: z.string() })).length(1),
    structuredContent: z.unknown().optional(),
  }),
})

/** A server with so many hosts, and a way to call a tool. */
async function startLooker(hosts: number) {
  const server = await startTestServer({
    inventoryYaml: `hosts: { "web[001-${String(hosts).padStart(3, '0')}]": {} }\ngroups: { web: "@*" }\n`,
  })
  const use = async (name: string, fields: Record<string, unknown>) => {
    const answer = await server.call('POST', '/mcp', {
      body: {
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: { name, arguments: { targets: '@web', ...fields } },
      },
      headers: { accept: 'application/json, text/event-stream' },
    })
    const json = answer.text.startsWith('{') ? answer.text : (/^data: (.*)$/m.exec(answer.text)?.[1] ?? '')
    const { content, structuredContent } = ToolAnswer.parse(JSON.parse(json)).result
    return { text: content[0]?.text ?? '', structured: structuredContent }
  }
  return { ...server, use }
}

/** Begins a look, lets the runs end as told, and asks again as the answer said. */
async function lookAndFill(
  { ledger, use }: Awaited<ReturnType<typeof startLooker>>,
  name: string,
  fields: Record<string, unknown>,
  fill: (ledger: Ledger, jobId: string) => Promise<void>,
) {
  const early = z
    .object({
      job_id: z.string(),
      next: z.object({ tool: z.literal(name), arguments: z.record(z.string(), z.unknown()) }),
    })
    .parse((await use(name, { wait_s: 0, ...fields })).structured)
  await fill(ledger, early.job_id)
  return { ...(await use(name, early.next.arguments)), jobId: early.job_id }
}

const DF_HEAD = 'Filesystem Type 1B-blocks Used Avail Inodes IUsed Use% Mounted on\n'
const GB = 1_000_000_000

function df(usedPercent: number, device = '/dev/vda1'): string {
  const used = usedPercent * GB - 12_345
  return (
    `${DF_HEAD}${device} ext4 ${100 * GB} ${used} ${(100 - usedPercent) * GB} 6553600 230000 ${usedPercent}% /\n` +
    `tmpfs tmpfs 100000 0 100000 1000 1 0% /run\n`
  )
}

test('how full the disks of five hundred hosts are is shown in less than 1,500 tokens, the fullest first', async () => {
  const looker = await startLooker(500)
  const { text, structured, jobId } = await lookAndFill(looker, 'check_disk_usage', {}, async (ledger, job) => {
    for (let i = 0; i < 499; i += 1) {
      await printAndEnd(ledger, job, i, { stdout: i === 321 ? df(99) : df(20 + ((i * 7919) % 61)) })
    }
    await finishRun(
      ledger,
      await start(ledger, job, 499),
      ended({ state: 'lost', remote: 'unknown', reason: 'conn_lost' }),
    )
  })
  const answer = OPERATIONS.check_disk_usage.output.parse(structured)
  expect(answer).toMatchObject({ hosts: 500, answered: 499, not_ended: 0 })
  expect(answer.filesystems[0]).toMatchObject({ hosts: 'web322', mount: '/', used_percent: 99, inodes_used_percent: 4 })
  const percents = answer.filesystems.map(({ used_percent }) => used_percent)
  expect(percents).toEqual(percents.toSorted((a, b) => b - a))
  expect(answer.problems).toMatchObject([{ hosts: 'web500', state: 'lost' }])
  expect(encode(text).length).toBeLessThan(1_500)
  // What was left out is had by the call that is named, of the same job.
  expect(answer.filesystems_left_out).toBeGreaterThan(10)
  const more = OPERATIONS.check_disk_usage.output.parse(
    (await looker.use('check_disk_usage', answer.next?.arguments ?? {})).structured,
  )
  expect(more).toMatchObject({ job_id: jobId, filesystems_left_out: 2 })
  const full = await looker.use('check_disk_usage', { ...answer.next?.arguments, min_used_percent: 90 })
  expect(OPERATIONS.check_disk_usage.output.parse(full.structured)).toMatchObject({
    filesystems: [{ hosts: 'web322' }],
    filesystems_left_out: 0,
  })
}, 120_000)

const entry = (name: string, size = 5, time = 1_700_000_000) => `0${name}/f/${size}/644/${time}.5/root:root:\0`

test('hosts with the same directory are one group though times differ; others are listed or counted', async () => {
  const looker = await startLooker(130)
  const { structured } = await lookAndFill(looker, 'list_directory', { path: '/srv' }, async (ledger, job) => {
    for (let i = 0; i < 130; i += 1) {
      const same = `dir/2\0${entry('a')}${entry('b', 5, 1_700_000_000 + (i % 50))}`
      await printAndEnd(ledger, job, i, { stdout: i < 100 ? same : `dir/1\0${entry('a', i)}` })
    }
  })
  const answer = OPERATIONS.list_directory.output.parse(structured)
  expect(answer.groups[0]).toMatchObject({ hosts: 'web[001-100]', count: 100, total_entries: 2 })
  expect(answer.groups[0]?.entries).toEqual([
    {
      name: 'a',
      type: 'file',
      size_bytes: 5,
      mode: '0644',
      owner: 'root',
      group: 'root',
      modified_at: '2023-11-14T22:13:20Z',
    },
    { name: 'b', type: 'file', size_bytes: 5, mode: '0644', owner: 'root', group: 'root' },
  ])
  expect([answer.groups.length, answer.hosts_left_out]).toEqual([20, 11])
  expect(answer.next).toMatchObject({ tool: 'list_directory', arguments: { targets: 'web[120-130]', path: '/srv' } })
}, 60_000)

test('of a host that is lost, has not ended, or was cut off nobody says what is there', async () => {
  const looker = await startLooker(4)
  const { structured } = await lookAndFill(looker, 'list_directory', { path: '/x' }, async (ledger, job) => {
    const stderr = "ls: cannot access '/x': No such file or directory\n"
    await printAndEnd(ledger, job, 0, { stderr, exitCode: 2 })
    const lost = {
      state: 'lost',
      remote: 'unknown',
      reason: 'conn_lost',
      exitCode: null,
      detail: 'the connection broke',
    } as const
    await printAndEnd(ledger, job, 1, { stdout: `dir/1\0${entry('a')}`, stderr, end: lost, complete: false })
    await printAndEnd(ledger, job, 2, { stdout: 'Welcome to web003!\n' })
  })
  const answer = OPERATIONS.list_directory.output.parse(structured)
  expect(answer).toMatchObject({ hosts: 4, not_ended: 1, groups: [], next: { tool: 'list_directory' } })
  const told = Object.fromEntries(answer.problems.map(({ hosts, state, problem }) => [hosts, [state, problem]]))
  expect(told).toEqual({
    web001: ['failed', "ls: cannot access '/x': No such file or directory"],
    web002: ['lost', 'the connection broke'],
    web003: ['succeeded', expect.stringContaining('cannot be read')],
  })
})

test('a connection test of hundreds of hosts is a few rows, and a cancelled test says nothing', async () => {
  const looker = await startLooker(300)
  const { text, structured } = await lookAndFill(looker, 'test_connection', {}, async (ledger, job) => {
    const down = (i: number) =>
      ended({
        state: 'unreachable',
        remote: 'not_started',
        reason: 'conn_refused',
        exitCode: null,
        detail: `10.0.0.${i} refused`,
      })
    for (let i = 0; i < 290; i += 1) await finishRun(ledger, await start(ledger, job, i), i % 3 ? ended() : down(i))
    await finishRun(ledger, await start(ledger, job, 290), exited(127))
    expect((await looker.call('POST', `/v1/jobs/${job}/cancel`, { body: { targets: 'web[292-299]' } })).status).toBe(
      202,
    )
  })
  const answer = OPERATIONS.test_connection.output.parse(structured)
  expect(answer.groups.map(({ ok, count, reason }) => [ok, count, reason])).toEqual([
    [false, 97, 'conn_refused'],
    [false, 1, 'exit_nonzero'],
    [null, 9, undefined],
    [true, 193, undefined],
  ])
  expect(answer.groups[0]?.detail).toBe('web001, for example: 10.0.0.0 refused')
  expect(answer.groups[3]).toMatchObject({ connect_ms_median: 5, connect_ms_slowest: 5 })
  expect(answer).toMatchObject({ hosts: 300, answered: 193, not_ended: 1 })
  expect(encode(text).length).toBeLessThan(1_500)
}, 60_000)

test('with a key of its own a look is the same job, and with another path it is refused', async () => {
  const looker = await startLooker(2)
  const ask = (fields: Record<string, unknown>) =>
    looker.use('list_directory', { wait_s: 0, idempotency_key: 'k', ...fields })
  const first = OPERATIONS.list_directory.output.parse((await ask({ path: '/a' })).structured)
  expect((await ask({ path: '/a' })).structured).toMatchObject({ job_id: first.job_id })
  expect((await ask({ path: '/b' })).text).toMatch(/^idempotency_conflict: /)
  expect((await ask({ path: '/a', after: 'no cursor!' })).text).toMatch(/^invalid_request: after: /)
})

test('a directory goes on behind the longest name that a list shows', async () => {
  const looker = await startLooker(1)
  const long = 'n'.repeat(1_024)
  const { structured } = await lookAndFill(looker, 'list_directory', { path: '/x', limit: 1 }, async (ledger, job) => {
    await printAndEnd(ledger, job, 0, { stdout: `dir/2\0${entry(long)}${entry('o')}` })
  })
  const { groups, next } = OPERATIONS.list_directory.output.parse(structured)
  expect(groups[0]?.entries).toMatchObject([{ name: long }])
  const page = await looker.use('list_directory', { ...next?.arguments, wait_s: 0 })
  expect(OPERATIONS.list_directory.output.parse(page.structured)).toMatchObject({ hosts: 1, not_ended: 1 })
})

test.each([
  ['list_directory', 'refused', 'it could not be reached', '; a test of the connection tries it at once'],
  ['list_directory', 'denied', 'it refused several log-ins', ''],
  ['test_connection', 'denied', 'it refused several log-ins', ''],
] as const)(
  '%s at a host whose breaker is open (%s) advises nothing that it does not take',
  async (tool, end, what, advice) => {
    const looker = await startLooker(1)
    const path = tool === 'list_directory' ? { path: '/' } : {}
    const claimIn = async (ledger: Ledger, jobId: string) => await claimIndex(ledger, jobId, 0)
    for (let i = 0; i < 5; i += 1) {
      await lookAndFill(looker, tool, path, async (ledger, job) => {
        const claimed = await claimIn(ledger, job)
        if (claimed !== undefined) await endAs(ledger, claimed, end)
        await looker.call('POST', `/v1/jobs/${job}/cancel`)
      })
    }
    const { text } = await lookAndFill(looker, tool, path, async (ledger, job) => {
      expect(await claimIn(ledger, job)).toBeUndefined()
    })
    expect(text).toContain(what)
    expect(text).toMatch(new RegExp(`is not tried before [-0-9T:.]+Z${advice}"`))
    expect(text).not.toContain('force')
  },
)
