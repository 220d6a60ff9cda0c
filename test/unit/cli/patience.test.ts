/** The command line and a server that is away: what is asked again, for how long, and what is said at the end. */

import { MusterError, toProblem } from '@muster/contract'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { waitCommand } from '../../../apps/cli/src/commands/job-commands.ts'
import { runCommand } from '../../../apps/cli/src/commands/run-command.ts'
import type { Cli } from '../../../apps/cli/src/line/command.ts'
import { readCommandLine } from '../../../apps/cli/src/line/flags.ts'
import { ServerAway } from '../../../apps/cli/src/line/patience.ts'
import { answer, away, type Handler, JOB, JOB_ID, scripted } from '../../support/ssh/scripted-server.ts'

// Only the clock that patience is measured with: it moves when the command line sleeps.
beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }))
afterEach(() => void vi.useRealTimers())

const TOO_OFTEN = toProblem(new MusterError('rate_limited', 'the API key k has made its 600 calls of this minute'))
const RUN = ['web01', '--', 'echo', "it's"]
const run = (cli: Cli, args: string[]) =>
  runCommand.act(cli, readCommandLine(args, runCommand.flags, runCommand.switches))
const Keyed = z.object({ idempotency_key: z.string() })

test.each<[string, Handler]>([
  ['breaks the connection', (_, response) => void response.destroy()],
  ['says that Redis is away', away],
  ['says that the key has called too often', (_, response) => answer(response, 429, TOO_OFTEN)],
  ['is behind a gateway that says so', (_, response) => void response.writeHead(502).end('<html>')],
  [
    'breaks off in its answer',
    (_, response) => void response.writeHead(202, { 'content-length': 9 }).write('{', () => response.destroy()),
  ],
])('a submit is sent again under the same key when the server %s', async (_, turn) => {
  const { cli, bodies, said, out } = await scripted(turn, turn, (__, response) => answer(response, 202, JOB))
  expect(await run(cli, ['--detach', ...RUN])).toBe(0)
  expect(out()).toBe(`${JOB_ID}\n`)
  const keys = bodies.map((body) => Keyed.parse(JSON.parse(body)).idempotency_key)
  expect(keys).toHaveLength(3)
  expect(new Set(keys).size).toBe(1)
  expect(said).toEqual([expect.stringMatching(/^\[.*; asking again\]$/)])
})

test('a submit that gets no answer tells its key, and the command line that repeats it', async () => {
  const { cli, bodies, sleptMs } = await scripted(away)
  const fault: unknown = await run(cli, RUN).catch((error: unknown) => error)
  const { idempotency_key: key } = Keyed.parse(JSON.parse(bodies[0] ?? ''))
  expect(String(fault)).toContain(`muster run --idempotency-key ${key} web01 -- echo 'it'\\''s'`)
  expect(fault).toBeInstanceOf(MusterError)
  expect(sleptMs()).toBe(10_000)
})

test('what repeats a submit has its key once, and no value of --env', async () => {
  const { cli } = await scripted(away)
  await expect(run(cli, ['--idempotency-key', 'mine', ...RUN])).rejects.toThrow(
    /\nmuster run --idempotency-key mine web01 -- echo 'it'\\''s'$/,
  )
  await expect(run(cli, ['--idempotency-key', 'mine', '--env', 'TOKEN=hush', ...RUN])).rejects.toThrow(
    /\nthe same command line with --idempotency-key mine$/,
  )
})

test('a submit that Redis has no room for is not sent again, and says what to do', async () => {
  const full = toProblem(new MusterError('ledger_full', 'Redis is full'))
  const { cli, asked } = await scripted((_, response) => answer(response, 507, full))
  const problem = { code: 'ledger_full', next: expect.stringContaining('maxmemory') }
  await expect(run(cli, RUN)).rejects.toMatchObject({ problem })
  expect(asked()).toBe(1)
})

test('a submit that is refused is not sent again', async () => {
  const refused = toProblem(new MusterError('unknown_target', 'there is no host web01'))
  const { cli, asked } = await scripted((_, response) => answer(response, 422, refused))
  await expect(run(cli, RUN)).rejects.toThrow('there is no host web01')
  expect(asked()).toBe(1)
})

test('a job is asked for again for two minutes, and its end is reported when the server is there before', async () => {
  const ended = {
    ...JOB,
    state: 'succeeded',
    ended_at: JOB.created_at,
    counts: { ...JOB.counts, running: 0, succeeded: 1 },
  }
  const { cli, said, out } = await scripted(
    (_, response) => answer(response, 200, JOB),
    ...Array.from({ length: 100 }, () => away),
    (_, response) => answer(response, 200, JOB),
    ...Array.from({ length: 100 }, () => away),
    (_, response) => answer(response, 200, ended),
  )
  expect(await waitCommand.act(cli, readCommandLine([JOB_ID], [], waitCommand.switches))).toBe(0)
  expect(out()).toContain('1 succeeded')
  expect(said).toEqual(['[Redis cannot be reached; asking again]', '[Redis cannot be reached; asking again]'])
})

test('a job whose server stays away is said to go on, with the command that waits for it', async () => {
  const { cli, sleptMs } = await scripted((_, response) => answer(response, 202, JOB), away)
  const fault: unknown = await run(cli, RUN).catch((error: unknown) => error)
  expect(fault).toBeInstanceOf(ServerAway)
  expect(String(fault)).toContain(`The job goes on; follow it again with: muster wait ${JOB_ID}`)
  expect(sleptMs()).toBe(120_000)
})

test('waiting no longer than --wait-s holds for a run while the server is away', async () => {
  const { cli, sleptMs, said } = await scripted((_, response) => answer(response, 202, JOB), away)
  const fault: unknown = await run(cli, ['--wait-s', '5', ...RUN]).catch((error: unknown) => error)
  expect(fault).toBeInstanceOf(ServerAway)
  expect(String(fault)).toContain(`muster output ${JOB_ID}`)
  expect([sleptMs(), said.filter((line) => line.includes('asking again')).length]).toEqual([5_000, 1])
})

test('waiting no longer than --wait-s holds for a wait while the server is away', async () => {
  const { cli, out } = await scripted((_, response) => answer(response, 200, JOB), away)
  const line = readCommandLine([JOB_ID, '--wait-s', '5'], [], waitCommand.switches)
  expect(await waitCommand.act(cli, line)).toBe(124)
  expect(out()).toContain('1 running')
})

test('the notices of its hosts are reported with the end of a run', async () => {
  const ended = { ...JOB, state: 'succeeded', ended_at: JOB.created_at }
  const notices = [{ notice: 'ran attached', hosts: 'web01', count: 1 }]
  const nothing = { job_id: JOB_ID, state: 'succeeded', total: 1, groups: [], without_output: [] }
  const { cli, said } = await scripted(
    (_, response) => answer(response, 202, { ...ended, notices }),
    (_, response) =>
      answer(response, 200, { ...nothing, omitted_groups: 0, omitted_hosts: 0, omitted: [], uncompared_hosts: 0 }),
  )
  await run(cli, RUN)
  expect(said.at(-1)).toMatch(/^── web01: ran attached\n.* succeeded · job_/)
})
