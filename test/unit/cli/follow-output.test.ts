/** `muster output --follow` and streams that break, start again, or stay away. */

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { outputCommand } from '../../../apps/cli/src/commands/output-command.ts'
import { readCommandLine } from '../../../apps/cli/src/line/flags.ts'
import {
  answer,
  away,
  events,
  type Handler,
  JOB_ID,
  PAGE,
  RUN_ENDED,
  scripted,
} from '../../support/ssh/scripted-server.ts'

// Only the clock that patience is measured with: it moves when the command line sleeps.
beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }))
afterEach(() => void vi.useRealTimers())

const knows: Handler = (_, response) => answer(response, 200, RUN_ENDED)
const followLine = (...args: string[]) =>
  readCommandLine([JOB_ID, 'web01', '--follow', ...args], [], outputCommand.switches)

test('output that is followed as JSON is an event a line, and the last one is the end', async () => {
  const { cli, out, said } = await scripted(
    knows,
    events({ event: 'output', data: PAGE }, { event: 'end', data: RUN_ENDED }),
  )
  expect(await outputCommand.act(cli, followLine('--json'))).toBe(0)
  const lines: unknown[] = out()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(lines).toEqual([
    { event: 'output', data: PAGE },
    { event: 'end', data: RUN_ENDED },
  ])
  expect(said).toEqual([])
})

test('a start that printed less than was shown before is read from its beginning before the end', async () => {
  const again = { ...PAGE, data: '2\n', next_offset: 2, total_bytes: 2, started_at: '2026-01-01T00:00:05.000Z' }
  const end = { event: 'end', data: { ...RUN_ENDED, started_at: again.started_at } }
  const { cli, out, said, paths } = await scripted(
    knows,
    events({ event: 'output', data: { ...PAGE, encoding: 'base64', data: 'b25lCg==' } }),
    events(end),
    events({ event: 'output', data: again }, end),
  )
  expect(await outputCommand.act(cli, followLine())).toBe(0)
  expect(out()).toBe('one\n2\n')
  expect(said).toEqual(['[the stream broke off; asking again]', '[the command was started again]'])
  const offsets = paths.slice(1).map((path) => /[?&]offset=(\d+)/.exec(path)?.[1])
  expect(offsets).toEqual(['0', '4', '0'])
})

test('a start that is told from its beginning by itself is read on over the same connection', async () => {
  const again = { ...PAGE, data: 'two\n', started_at: '2026-01-01T00:00:05.000Z' }
  const end = { event: 'end', data: { ...RUN_ENDED, started_at: again.started_at } }
  const { cli, out, said, asked } = await scripted(
    knows,
    events({ event: 'output', data: PAGE }, { event: 'output', data: again }, end),
  )
  expect(await outputCommand.act(cli, followLine())).toBe(0)
  expect([out(), said, asked()]).toEqual(['one\ntwo\n', ['[the command was started again]'], 2])
})

test('a run that never started has nothing to read again', async () => {
  const end = { event: 'end', data: { ...RUN_ENDED, state: 'skipped', exit_code: null, started_at: null } }
  const { cli, said } = await scripted(knows, events({ event: 'output', data: PAGE }, end))
  expect(await outputCommand.act(cli, followLine())).toBe(4)
  expect(said).toEqual(['web01: skipped'])
})

test('a stream that stays away is given up after two minutes, counted from when it was last heard', async () => {
  const { cli, sleptMs } = await scripted(
    knows,
    events({ event: 'output', data: PAGE }),
    ...Array.from({ length: 60 }, () => away),
    events(),
    away,
  )
  await expect(outputCommand.act(cli, followLine())).rejects.toThrow(
    `The job goes on; follow it again with: muster output ${JOB_ID} web01 --follow`,
  )
  expect(sleptMs()).toBe(61_000 + 120_000)
})
