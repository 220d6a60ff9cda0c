/** What a person sees of a rollout: batches, pauses, gates, a budget that is spent, a rerun. */

import { Job, JobReport } from '@muster/contract'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { waitCommand } from '../../../apps/cli/src/commands/job-commands.ts'
import { runCommand } from '../../../apps/cli/src/commands/run-command.ts'
import { readCommandLine } from '../../../apps/cli/src/line/flags.ts'
import { createProgress } from '../../../apps/cli/src/line/progress.ts'
import { hostTable, notTakenText } from '../../../apps/cli/src/render/render-hosts.ts'
import { jobText } from '../../../apps/cli/src/render/render-job.ts'
import { answer, type Handler, JOB, JOB_ID, scripted } from '../../support/ssh/scripted-server.ts'

// The command line never really sleeps between two looks.
beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }))
afterEach(() => void vi.useRealTimers())

const COUNTS = { ...JOB.counts, running: 0 }
const BATCH = { number: 1, of: 3, hosts: 2, from: 0, starts_at: null, paused_because: null, paused_until: null }
const FOUR = { ...JOB, total: 4, counts: { ...COUNTS, succeeded: 2, pending: 2 }, batch: BATCH }
const UNTIL = '2026-01-01T01:00:00.000Z'
const AT_GATE = { ...BATCH, paused_because: 'gate', paused_until: UNTIL }
const PAUSED = { ...FOUR, state: 'paused', batch: AT_GATE }
const NOTHING_RAN = { ...PAUSED, batch: { ...AT_GATE, paused_because: 'nothing_ran' } }
const ENDED = { ...FOUR, state: 'succeeded', counts: { ...COUNTS, succeeded: 4 }, ended_at: JOB.created_at }
const STOPPED = {
  ...FOUR,
  state: 'failed',
  counts: { ...COUNTS, failed: 2, skipped: 2 },
  ended_at: JOB.created_at,
  budget: { max_errors: 1, errors: 2, exceeded: true, on_budget: 'drain' },
  tripped_by: 'web[01-02]',
}
const turn =
  (job: unknown): Handler =>
  (_, response) =>
    answer(response, 200, job)
const wait = async (...jobs: unknown[]) => {
  const server = await scripted(...jobs.map(turn))
  const status = await waitCommand.act(server.cli, readCommandLine([JOB_ID], [], waitCommand.switches))
  return { status, said: server.said, out: server.out() }
}

describe('following a job', () => {
  test('that is paused tells what to type, once for each gate, and goes on waiting to its end', async () => {
    const second = { ...PAUSED, batch: { ...AT_GATE, number: 2 } }
    const { status, said, out } = await wait(PAUSED, PAUSED, FOUR, second, second, ENDED)
    expect(said).toEqual(
      [1, 2].map(
        (batch) =>
          `Paused after batch ${batch} of 3. It ends by itself at ${UNTIL}. ` +
          `Go on with: muster resume ${JOB_ID}   End it with: muster cancel ${JOB_ID}`,
      ),
    )
    expect([status, out]).toEqual([0, `4 succeeded · succeeded · ${JOB_ID}\n`])
  })

  test('whose error budget is spent tells in which batch, and its status is that of what was run', async () => {
    const { status, out } = await wait(STOPPED)
    expect(out).toBe(`2 failed, 2 skipped · error budget spent in batch 1 of 3 · failed · ${JOB_ID}\n`)
    expect(status).toBe(1)
    const unreached = { ...STOPPED, counts: { ...COUNTS, unreachable: 2, skipped: 2 }, batch: null }
    expect(await wait(unreached)).toMatchObject({
      status: 4,
      out: expect.stringContaining('2 skipped · error budget spent · failed'),
    })
  })

  test('that a run submitted tells the seed, whom it runs again, and who spent the budget', async () => {
    const selection = { ...JOB.selection, order: 'shuffle', seed: 77 }
    const gathered = { job_id: JOB_ID, state: 'failed', total: 4, groups: [], without_output: [] }
    const { cli, said } = await scripted(
      turn({ ...STOPPED, selection, rerun_of: JOB_ID }),
      turn({ ...gathered, omitted_groups: 0, omitted_hosts: 0, omitted: [], uncompared_hosts: 0 }),
    )
    await runCommand.act(cli, readCommandLine(['web', '--', 'true'], runCommand.flags, runCommand.switches))
    expect(said[0]).toBe(`${JOB_ID} · 4 hosts · seed 77 · rerun of ${JOB_ID}`)
    expect(said[1]).toMatch(/^── error budget spent by web\[01-02\]: 1 tolerated; nothing more starts\n2 failed, /)
  })
})

describe('progress', () => {
  const shown = (job: unknown) => {
    let written = ''
    createProgress({
      write: (text) => {
        written += text
      },
    }).show(Job.parse(job))
    return written
  }

  test('tells the batch, when a pause before it ends, and that the job is paused', () => {
    expect(shown(FOUR)).toBe('2/4 ended: 2 pending, 2 succeeded · batch 1 of 3\n')
    expect(shown(PAUSED)).toBe(`2/4 ended: 2 pending, 2 succeeded · paused until ${UNTIL} · batch 1 of 3\n`)
    expect(shown(NOTHING_RAN)).toContain(` · paused, as no host was tried, until ${UNTIL} · batch 1 of 3\n`)
    const pause = { ...BATCH, number: 2, starts_at: '2026-01-01T00:00:09.000Z' }
    expect(shown({ ...FOUR, batch: pause })).toContain(' · batch 2 of 3 starts at 2026-01-01T00:00:09.000Z\n')
  })

  test('tells that the error budget is spent, and says nothing of batches that all went through', () => {
    expect(shown(STOPPED)).toContain(' · error budget spent in batch 1 of 3\n')
    expect(shown(ENDED)).toBe('4/4 ended: 4 succeeded\n')
  })
})

describe('one job', () => {
  test('shows its selection, its batch, its budget, its lineage, and at a gate what to type', () => {
    const other = `job_${'b'.repeat(26)}`
    const selection = { exclude: 'web09', pick: 4, order: 'label:zone', limit: 3, seed: 7 }
    const text = jobText(JobReport.parse({ ...PAUSED, selection, rerun_of: other, reruns: [other, JOB_ID] }))
    for (const line of [
      'state      paused',
      `rerun of   ${other}`,
      'selected   without web09, 4 picked, order label:zone, the first 3, seed 7',
      'batch      1 of 3, 2 hosts',
      'errors     0, of 1 tolerated',
      'at once    1',
      `run again  ${other}\n           ${JOB_ID}`,
    ])
      expect(text).toContain(`${line}\n`)
    expect(text).toMatch(
      /\nPaused after batch 1 of 3\. It ends by itself at 2026-\S+Z\. Go on with: muster resume job_a+ .*\n$/,
    )
  })

  test('says nothing of what it does not have', () => {
    const plain = { ...JOB, budget: { ...JOB.budget, max_errors: 1 } }
    expect(jobText(JobReport.parse(plain))).not.toMatch(/^(selected|batch|errors|rerun of|run again|Paused|──)/m)
  })

  test('that is paused because nothing ran says so, and that going on is a choice', () => {
    expect(jobText(JobReport.parse(NOTHING_RAN))).toContain(
      '\nPaused after batch 1 of 3: no host of this batch was tried (they were skipped or cancelled), so it proves ' +
        `nothing; resume to go on all the same. It ends by itself at ${UNTIL}. Go on with: `,
    )
  })

  test('shows the options it was submitted with, and its health check as far as it may act on a terminal', () => {
    const asked = {
      batches: [1, '10%'],
      batch_pause_s: 60,
      gate: 'manual',
      max_errors: '5%',
      on_budget: 'cancel',
      concurrency: '25%',
      read_only: true,
      host_limit: 2,
      force: true,
      health_check: { command: 'curl \x1b[2J\nexit\n', timeout_s: 7 },
    }
    const text = jobText(JobReport.parse({ ...FOUR, options: asked }))
    expect(text).toContain(
      '\nrollout    batches 1,10%, pause 60 s, gate manual, max errors 5%, on budget cancel, ' +
        'concurrency 25%, read only, ' +
        'host limit 2, forced past breakers\nchecked by curl \\x1b[2J\n           exit (at most 7 s)\n',
    )
    expect(jobText(JobReport.parse({ ...FOUR, options: { canary: 2 } }))).toContain('\nrollout    canary 2\n')
    expect(jobText(JobReport.parse(FOUR))).not.toMatch(/^(rollout|checked by)/m)
  })

  test('tells how many hosts with problems it does not name, and what lists them', () => {
    const named = { state: 'failed', reason: 'exit_nonzero', exit_code: 1, detail: null, hosts: 'h[0-199]', count: 200 }
    const skipped = { ...named, state: 'skipped', reason: 'breaker_open', exit_code: null, hosts: 'db1', count: 1 }
    const ended = { ...ENDED, total: 311, problems: [named, skipped], problems_omitted: 100 }
    const failed = { ...ended, counts: { ...COUNTS, succeeded: 10, failed: 300, skipped: 1 } }
    expect(jobText(JobReport.parse(failed))).toContain(
      ', it is not tried for now, as reaching it or logging in failed several times\n── 100 more ' +
        `hosts; muster runs ${JOB_ID} --state failed lists them\n`,
    )
    const mixed = { ...ended, counts: { ...COUNTS, succeeded: 10, failed: 230, lost: 70, skipped: 1 } }
    expect(jobText(JobReport.parse(mixed))).toContain(
      `\n── 100 more hosts; muster runs ${JOB_ID} --state STATE (failed, lost) lists them\n`,
    )
    expect(jobText(JobReport.parse({ ...failed, problems_omitted: 0 }))).not.toContain('more hosts')
  })

  test('of a script shows no empty line behind it', () => {
    expect(jobText(JobReport.parse({ ...JOB, command: 'a\nb\n\n' }))).toContain(
      '\ncommand    a\n           b\nat once ',
    )
  })

  test('that killed what ran when its budget was spent says so', () => {
    const budget = { ...STOPPED.budget, on_budget: 'cancel' }
    expect(jobText(JobReport.parse({ ...STOPPED, budget }))).toContain(
      '── error budget spent by web[01-02]: 1 tolerated; nothing more starts, and what ran is killed\n',
    )
  })
})

test('a list of hosts says why some are disabled and what their aliases are, only where there are any', () => {
  const host = {
    name: 'web01',
    aliases: [],
    address: 'a',
    port: 22,
    user: 'u',
    jump: null,
    host_key_alias: null,
    known_hosts_files: [],
    groups: [],
    labels: {},
    disabled: null,
    not_taken: [],
  }
  expect(hostTable([host])).not.toContain('DISABLED')
  const lines = hostTable([host, { ...host, name: 'web02', disabled: 'in repair\x07' }]).split('\n')
  expect(lines[0]).toMatch(/ DISABLED$/)
  expect(lines[1]).toMatch(/ –$/)
  expect(lines[2]).toMatch(/^web02 .* in repair/)
  expect(lines.join('')).not.toContain('\x07')
  const named = hostTable([host, { ...host, name: 'web02', aliases: ['www', 'w2'] }]).split('\n')
  expect(named.map((line) => line.trim().split(/ {2,}/).slice(0, 2))).toMatchObject([
    ['HOST', 'ALIASES'],
    ['web01', '–'],
    ['web02', 'www,w2'],
    [''],
  ])
  expect(hostTable([host])).not.toContain('ALIASES')

  const command = { option: 'ProxyCommand', file: '/c\x07', line: 3, why: 'it would run a program' }
  const told = ['web01', 'web02'].map((name) => ({ ...host, name, not_taken: [command] }))
  expect(notTakenText([...told, host])).toBe(
    '── web[01-02]: ProxyCommand is not taken: it would run a program (/c\\x07:3)\n',
  )
  const many = Array.from({ length: 11 }, (_, n) => ({ ...host, name: `n${n}`, not_taken: [command] }))
  expect(notTakenText(many)).toMatch(/^── 11 hosts have options .* muster hosts NAME shows which\n$/)
})
