/** What the flags of selection and rollout become in a request, and what is refused before anything is sent. */
import type { ServerResponse } from 'node:http'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { targetsCommand } from '../../../apps/cli/src/commands/host-commands.ts'
import { concurrencyCommand, listJobsCommand, resumeCommand } from '../../../apps/cli/src/commands/job-commands.ts'
import { rerunCommand } from '../../../apps/cli/src/commands/rerun-command.ts'
import { runCommand } from '../../../apps/cli/src/commands/run-command.ts'
import { readCommandLine } from '../../../apps/cli/src/line/flags.ts'
import { answer, away, JOB, JOB_ID, scripted } from '../../support/ssh/scripted-server.ts'

// The command line never really sleeps between two tries.
beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }))
afterEach(() => void vi.useRealTimers())

/** Runs one of these commands with these words against a server that takes whatever it gets. */
async function sentBy(name: string, args: readonly string[]) {
  const server = await scripted((_, response) => answer(response, 202, JOB))
  const command = { run: runCommand, rerun: rerunCommand, resume: resumeCommand, concurrency: concurrencyCommand }[name]
  if (command === undefined) throw new Error(`no command ${name}`)
  const outcome = await command
    .act(server.cli, readCommandLine(args, command.flags, command.switches))
    .catch((error: unknown) => String(error))
  return { outcome, ...server, body: JSON.parse(server.bodies[0] || '{}') }
}
const BATCH = { number: 2, of: 3, hosts: 2, from: 0, starts_at: null, paused_because: 'gate', paused_until: null }
const run = (...args: string[]) => sentBy('run', ['--detach', ...args, 'web01', '--', 'true'])

describe('a flag of muster run', () => {
  test.each([
    [['--batches', '1,10%', '--batches', '50%'], { batches: [1, '10%', '50%'] }],
    [['--batches', '5'], { batches: [5] }],
    [['--canary', '2'], { canary: 2 }],
    [['--max-errors', '10%'], { max_errors: '10%' }],
    [['--max-errors', '3'], { max_errors: 3 }],
    [['--concurrency', '25%', '--on-budget', 'cancel'], { concurrency: '25%', on_budget: 'cancel' }],
    [
      ['--canary', '1', '--gate', 'manual', '--batch-pause-s', '2.5'],
      { canary: 1, gate: 'manual', batch_pause_s: 2.5 },
    ],
    [['--health-check', 'curl -fsS localhost'], { health_check: { command: 'curl -fsS localhost' } }],
    [['--health-check', 'a', '--health-check-timeout-s', '0.5'], { health_check: { command: 'a', timeout_s: 0.5 } }],
    [['--read-only', '--host-limit', '2', '--force'], { read_only: true, host_limit: 2, force: true }],
    [['--exclude', '{role=db}', '--pick', '3', '--limit', '2'], { exclude: '{role=db}', pick: 3, limit: 2 }],
    [['--order', 'label:zone', '--seed', '7'], { order: 'label:zone', seed: 7 }],
  ])('%j is sent as its field', async (args, fields) => {
    const { outcome, body } = await run(...args)
    expect([outcome, body]).toEqual([0, expect.objectContaining(fields)])
  })

  test.each([
    [
      ['--batches', '1,0'],
      '--batches: expected a whole number from 1 to 1000000, or a percentage from "1%" to "100%"; given 0',
    ],
    [['--batches', '1,0%'], 'or a percentage from "1%" to "100%"; given "0%"'],
    [['--batches', '0.5'], 'given 0.5'],
    [['--batches', '1,,2'], 'given ""'],
    [['--canary', '1', '--batches', '1'], '--canary: canary is short for batches, so only one of them can be given'],
    [['--gate', 'manual'], '--gate: manual gates are between batches'],
    [['--gate', 'closed'], '--gate: expected one of "auto"|"manual"; given "closed"'],
    [['--max-errors', '101%'], '--max-errors: '],
    [['--max-errors=-1'], 'given -1'],
    [['--order', 'random'], '--order: one of given, name, shuffle, label:KEY; given "random"'],
    [['--health-check-timeout-s', '5'], '--health-check is missing: Run on each host after the command'],
    [['--health-check', 'x', '--health-check-timeout-s', 'soon'], '--health-check-timeout-s takes a number of seconds'],
    [['--wait-s', 'soon'], '--wait-s takes a number of seconds'],
  ])('%j is refused before anything is sent', async (args, message) => {
    const { outcome, asked } = await run(...args)
    expect([outcome, asked()]).toEqual([expect.stringContaining(message), 0])
  })

  test('with a health check that is refused does not repeat it: it may hold a password', async () => {
    const { outcome } = await run('--health-check', 'hush '.repeat(4_000))
    expect(outcome).toContain('--health-check: Too big')
    expect(outcome).not.toContain('hush')
  })
})

describe('a command about a job', () => {
  test.each([
    ['concurrency', [JOB_ID, '20'], `/v1/jobs/${JOB_ID}/concurrency`, { concurrency: 20 }],
    ['concurrency', [JOB_ID, '25%'], `/v1/jobs/${JOB_ID}/concurrency`, { concurrency: '25%' }],
  ])('%s %j is sent as its operation', async (name, args, path, fields) => {
    const { outcome, paths, body, out } = await sentBy(name, args)
    expect([outcome, paths, body]).toEqual([0, [path], fields])
    expect(out()).toContain(` running · ${JOB_ID}\n`)
  })

  test('resume is sent with the batch that the job was seen to be paused after, if it was', async () => {
    for (const [state, fields] of [
      ['paused', { batch: 2 }],
      ['running', {}],
    ] as const) {
      const server = await scripted((_, response) => answer(response, 200, { ...JOB, batch: BATCH, state }))
      expect(await resumeCommand.act(server.cli, readCommandLine([JOB_ID], [], resumeCommand.switches))).toBe(0)
      expect(server.paths[1]).toBe(`/v1/jobs/${JOB_ID}/resume`)
      expect(JSON.parse(server.bodies[1] ?? '')).toEqual(fields)
      expect(server.out()).toContain(` ${state} · ${JOB_ID}\n`)
    }
  })

  test.each([
    ['resume', [], 'muster resume takes a job ID'],
    ['concurrency', [JOB_ID], 'muster concurrency takes a job ID and a number'],
    ['concurrency', [JOB_ID, '0'], 'concurrency'],
    ['concurrency', [JOB_ID, '1', '2'], 'muster concurrency takes a job ID and a number'],
    ['rerun', [], 'muster rerun takes a job ID'],
    ['rerun', [JOB_ID, '--states', 'pending'], '--states: expected one of "succeeded"|"failed"'],
  ])('%s %j is refused before anything is sent', async (name, args, message) => {
    const { outcome, asked } = await sentBy(name, args)
    expect([outcome, asked()]).toEqual([expect.stringContaining(message), 0])
  })
})

describe('muster jobs', () => {
  const page = (count: number, next_cursor: string | null) => (_: unknown, response: ServerResponse) =>
    answer(response, 200, { jobs: Array.from({ length: count }, () => JOB), next_cursor })
  const jobs = async (server: Awaited<ReturnType<typeof scripted>>, ...args: string[]) => {
    await listJobsCommand.act(server.cli, readCommandLine(args, listJobsCommand.flags, listJobsCommand.switches))
    return { ...server, rows: server.out().trimEnd().split('\n').length - 1 }
  }

  test('fetches as many pages as its limit needs, also after one that is empty', async () => {
    const { paths, rows, said } = await jobs(
      await scripted(page(100, 'a'), page(0, 'b'), page(50, null)),
      '--limit',
      '250',
      '--state',
      'failed',
    )
    expect(paths).toEqual(['100', '100&cursor=a', '100&cursor=b'].map((rest) => `/v1/jobs?state=failed&limit=${rest}`))
    expect([rows, said]).toEqual([150, []])
  })

  test('asks for no more than its limit, and says when there may be more', async () => {
    const { paths, rows, said } = await jobs(await scripted(page(20, 'a')))
    expect([paths, rows, said]).toEqual([['/v1/jobs?limit=20'], 20, ['There may be more: muster jobs --limit 40']])
  })
})

describe('muster rerun', () => {
  test('sends the states, and a key of its own under which it is sent again when nobody answers', async () => {
    const server = await scripted(away, (_, response) => answer(response, 202, JOB))
    const line = readCommandLine(
      [JOB_ID, '--states', 'failed,lost', '--detach'],
      rerunCommand.flags,
      rerunCommand.switches,
    )
    expect(await rerunCommand.act(server.cli, line)).toBe(0)
    expect(server.paths).toEqual([`/v1/jobs/${JOB_ID}/rerun`, `/v1/jobs/${JOB_ID}/rerun`])
    const [first, second] = server.bodies.map((body) => JSON.parse(body))
    expect(first).toMatchObject({ states: ['failed', 'lost'], idempotency_key: expect.stringMatching(/./) })
    expect(second).toEqual(first)
  })

  test('is for the states that may safely run again, unless others are named; a given key is kept', async () => {
    const { body } = await sentBy('rerun', [JOB_ID, '--detach', '--idempotency-key', 'mine'])
    expect(body).toMatchObject({ idempotency_key: 'mine', states: ['failed', 'unreachable', 'skipped'] })
  })
})

describe('muster targets', () => {
  const resolved = {
    count: 3,
    folded: 'web[01-03]',
    hosts: ['web01'],
    hosts_omitted: 2,
    labels: { zone: { a: 2, b: 1 } },
    unavailable: [{ reason: 'host_disabled', detail: 'in repair\x1b[2J', hosts: 'web02', count: 1 }],
    seed: 7,
  }
  const targets = async (...args: string[]) => {
    const server = await scripted((_, response) => answer(response, 200, resolved))
    const line = readCommandLine(args, targetsCommand.flags, targetsCommand.switches)
    const outcome = await targetsCommand.act(server.cli, line).catch((error: unknown) => String(error))
    return { outcome, body: JSON.parse(server.bodies[0] || '{}'), out: server.out() }
  }

  test('shows how many hosts, which, their labels, the seed, and where no job would start', async () => {
    const { outcome, body, out } = await targets('web*', '@db', '--exclude', 'db1', '--order', 'shuffle')
    expect([outcome, body]).toEqual([
      0,
      expect.objectContaining({ targets: 'web*,@db', exclude: 'db1', order: 'shuffle' }),
    ])
    expect(out).toMatch(
      /^hosts {6}3: web\[01-03\]\nseed {7}7\n\{zone\} {5}a 2, b 1\n── web02: host_disabled, in repair.*\n$/,
    )
    expect(out).not.toContain('\x1b')
  })

  test('gives a program every name', async () => {
    const { body, out } = await targets('@*', '--json')
    expect(body).toMatchObject({ hosts_limit: 10_000 })
    expect(JSON.parse(out)).toEqual(resolved)
  })

  test('takes at least one word', async () => {
    expect((await targets()).outcome).toContain('no targets given: muster targets <targets>')
  })
})
