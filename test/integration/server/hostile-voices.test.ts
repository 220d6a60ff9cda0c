/**
 * No byte that a host or another person chose stands outside of its frame or field, on any surface: what agents read,
 * what a terminal shows, events, Bull Board, the log.
 */

import { GatheredOutput, Host, JobReport, Run, Submit } from '@muster/contract'
import { submitJob } from '@muster/ledger'
import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { createClient } from '../../../apps/cli/src/client/client.ts'
import { targetsCommand } from '../../../apps/cli/src/commands/host-commands.ts'
import { listJobsCommand, showCommand } from '../../../apps/cli/src/commands/job-commands.ts'
import { outputCommand } from '../../../apps/cli/src/commands/output-command.ts'
import type { Cli } from '../../../apps/cli/src/line/command.ts'
import { readCommandLine } from '../../../apps/cli/src/line/flags.ts'
import { hostTable } from '../../../apps/cli/src/render/render-hosts.ts'
import { jobText } from '../../../apps/cli/src/render/render-job.ts'
import { gatheredText } from '../../../apps/cli/src/render/render-output.ts'
import { runsText, runText } from '../../../apps/cli/src/render/render-runs.ts'
import { printAndEnd } from '../../support/ledger/printed-run.ts'
import { connectClient } from '../../support/mcp/mcp-client.ts'
import { HIDDEN, hostileText, MARK } from '../../support/server/hostile-text.ts'

vi.setConfig({ testTimeout: 120_000 })

const HOSTS = ['web01', 'web02', 'db1']
const words = fc.record({
  title: hostileText,
  targets: hostileText,
  command: hostileText,
  argument: hostileText,
  isScript: fc.boolean(),
  stdout: hostileText,
  stderr: hostileText,
  detail: hostileText,
  notice: hostileText,
  worker: hostileText,
  signal: hostileText,
  late: hostileText,
})
type Words = typeof words extends fc.Arbitrary<infer T> ? T : never
type Server = Awaited<ReturnType<typeof connectClient>>

/** A job whose hosts and submitter say all of this, as a Redis of an older version may hold it. */
async function hostileJob({ ledger }: Server, said: Words): Promise<string> {
  const { title, targets } = said
  const [command, argument] = [said.command, said.argument].map((text) =>
    Buffer.from(text.replaceAll('\0', '')).toString(),
  )
  const request = Submit.parse({
    ...(said.isScript ? { script: 'true', script_args: [argument] } : { command }),
    health_check: { command },
    title: title.slice(0, 80),
    targets,
  })
  const { jobId } = await submitJob(ledger, { request, hosts: HOSTS, owner: 'tester' })
  const end = { state: 'failed', reason: 'health_check', detail: said.detail } as const
  await printAndEnd(ledger, jobId, 0, { stdout: said.stdout, stderr: said.stderr, exitCode: 3, end })
  await printAndEnd(ledger, jobId, 1, { stdout: 'well\n' })
  await printAndEnd(ledger, jobId, 2, { end: { ...end, state: 'unreachable', remote: 'not_started' } })
  const late = {
    state: 'lost',
    remote: 'unknown',
    reason: null,
    detail: said.late,
    exit_code: null,
    signal: said.signal,
  }
  const late_result = JSON.stringify({ ...late, worker: said.worker, at: '2026-01-01T00:00:00.000Z' })
  await ledger.redis.hset(ledger.keys.run(jobId, 0), { ...said, stdout: said.stdout.length, stderr: 7, late_result })
  await ledger.redis.sadd(ledger.keys.noticed(jobId), 0)
  return jobId
}

/** What an agent reads: JSON, or text whose lines hold such words in a frame or in quotes. */
function checkVoice(text: string): void {
  expect(text).not.toMatch(HIDDEN)
  if (text.startsWith('{')) {
    expect(text).not.toContain('\n')
    return void JSON.parse(text)
  }
  const [, frame = 'none'] = /^<<<(\w{8}) /m.exec(text) ?? []
  const ours = text.replaceAll(new RegExp(`^<<<${frame}[^\\n]*\\n[^]*?\\n${frame}>>>$`, 'gm'), '')
  // Each frame is closed, and none of them from inside.
  expect(ours).not.toContain(`<<<${frame}`)
  expect(ours).not.toContain(`${frame}>>>`)
  for (const line of ours.split('\n')) expect(line.replaceAll(/"[^"]*"?/g, '')).not.toContain(MARK)
}

/** What a terminal shows: no line begins with what somebody else chose. */
function checkLines(text: string, beginning: RegExp): void {
  expect(text).not.toMatch(HIDDEN)
  for (const line of text.replace(/\n$/, '').split('\n')) expect(line).toMatch(beginning)
}

const GATHERED_LINE = /^(?:│|stderr│|\[[a-z]|── (?:web01: failed, health_check|web02: succeeded$|db1: unreachable)|$)/
const JOB_ROW = new RegExp(
  '^(?:(?:job|state|hosts|targets|command|limit|created|ended|at once) {3,}|arguments {2}|checked by | {11}|' +
    '── (?:web01|db1)\\b)',
)
const RUN_ROW = new RegExp(
  '^(?:host|job|state|because|notice|remote|safe to retry|attempt|mode|worker|started|ended|took|stdout|stderr|' +
    'late result) +',
)

/** The command line over this server, and all that it printed. */
function cliOf({ url, key }: Server) {
  let printed = ''
  const cli: Cli = {
    client: createClient({ url, apiKey: key }),
    hasTerminal: false,
    askSecret: async () => '',
    env: {},
    interrupts: {
      count: () => 0,
      signal: () => new AbortController().signal,
      sleep: async () => {},
      again: async () => false,
    },
    out: (text) => {
      printed += text
    },
    isTerminal: true,
    say: (line) => {
      printed += `${line}\n`
    },
    stderr: { write: () => true },
  }
  const use = async (command: typeof outputCommand, ...args: string[]) => {
    printed = ''
    await command.act(cli, readCommandLine(args, command.flags, command.switches))
    return printed
  }
  return { use }
}

test('words of hosts and of other people stay in their frame or field, on every surface', async () => {
  const server = await connectClient({ limits: { callsPerMin: 100_000, jobsPerMin: 100_000 } })
  const { call, use, lines } = server
  const { use: muster } = cliOf(server)
  await fc.assert(
    fc.asyncProperty(words, fc.integer({ min: 200, max: 1_500 }), async (said, max_chars) => {
      const job_id = await hostileJob(server, said)
      for (const [tool, fields] of [
        ['get_job', {}],
        ['wait_job', {}],
        ['get_output', { max_chars }],
        ['get_output', { max_chars, diff: false, stream: 'stderr' }],
        ['get_output', { max_chars, host: 'web01' }],
        ['get_output', { max_chars, host: 'web01', tail: 2 }],
        ['get_output', { max_chars, host: 'web01', grep: 'EV[I]L' }],
        ['get_output', { max_chars, grep: 'EV[I]L' }],
      ] as const) {
        checkVoice((await use(tool, { job_id, ...fields })).text)
      }
      for (const tool of ['list_jobs', 'list_hosts']) checkVoice((await use(tool)).text)
      checkVoice((await use('get_output', { job_id, host: 'nowhere' })).text)

      const get = async (path: string) => (await call('GET', `/v1/jobs/${job_id}${path}`)).body
      const gathered = GatheredOutput.parse(await get('/output?diff=true'))
      checkLines(gatheredText(gathered), GATHERED_LINE)
      checkLines(gatheredText(GatheredOutput.parse(await get('/output'))), GATHERED_LINE)
      checkLines(jobText(JobReport.parse(await get(''))), JOB_ROW)
      const runs = Run.array().parse((await get('/runs')).runs)
      checkLines(runsText(runs), /^(?:HOST|web01|web02|db1) /)
      for (const run of runs) checkLines(runText(run), RUN_ROW)
      checkLines(await muster(listJobsCommand, '--limit', '1'), /^(?:JOB|job_\w+|There may be more:) /)
      for (const command of [showCommand, outputCommand]) checkLines(await muster(command, job_id, '--json'), /^\{/)

      const events = await fetch(`${server.url}/v1/jobs/${job_id}/events`, {
        headers: { authorization: `Bearer ${server.key}` },
      })
      for (const line of (await events.text()).split('\n')) expect(line).toMatch(/^(?:(?:event|id|data|retry): |$)/)
    }),
    { numRuns: 25 },
  )
  const tickets = await call('GET', '/board/api/queues?activeQueue=tickets&status=waiting')
  const names = [...tickets.text.matchAll(/"name":("(?:[^"\\]|\\.)*")/g)].map(([, name = '']) =>
    String(JSON.parse(name)),
  )
  expect(names.filter((name) => name.includes(MARK)).length).toBeGreaterThan(0)
  for (const name of names) expect(name).not.toMatch(/[\n\t]|\p{C}|\p{Default_Ignorable_Code_Point}/u)
  for (const line of lines) expect(line).not.toMatch(/[^\P{C}\n]|\p{Default_Ignorable_Code_Point}/u)
  expect(lines.join('').split('\n').length).toBe(lines.length + 1)
})

test('so do the words of who wrote the inventory', async () => {
  await fc.assert(
    fc.asyncProperty(hostileText, hostileText, async (label, disabled) => {
      const value = label.replaceAll(/[\s,{}=!&|]/g, '')
      const host = {
        address: '10.0.0.1',
        labels: { env: value },
        disabled: disabled.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]/gu, ''),
      }
      const server = await connectClient({ inventoryYaml: JSON.stringify({ hosts: { web01: host } }) })
      for (const tool of ['list_hosts', 'preview_targets']) {
        checkVoice((await server.use(tool, { targets: 'web01' })).text)
      }
      const { hosts } = (await server.call('GET', '/v1/hosts')).body
      checkLines(hostTable(Host.array().parse(hosts)), /^(?:HOST|web01) /)
      const { use: muster } = cliOf(server)
      checkLines(await muster(targetsCommand, 'web01'), /^(?:hosts {6}|\{env\} {5}|── web01: host_disabled, )/)
    }),
    { numRuns: 10 },
  )
})
