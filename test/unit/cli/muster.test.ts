/** The parts of the `muster` command that need no server: exit statuses, flags, and how things look. */

import {
  Counts,
  type GatheredOutput,
  HostsByState,
  type Job,
  OPERATIONS,
  RolloutOptions,
  RunState,
  UNLESS_FORCED,
} from '@muster/contract'
import { describe, expect, test } from 'vitest'
import { RUN_FLAGS, SPELLED_OTHERWISE } from '../../../apps/cli/src/commands/run-command.ts'
import { EXIT, exitStatusOf, exitStatusOfProblem, exitStatusOfRun } from '../../../apps/cli/src/line/exit-status.ts'
import { readCommandLine } from '../../../apps/cli/src/line/flags.ts'
import { createProgress } from '../../../apps/cli/src/line/progress.ts'
import { jobText } from '../../../apps/cli/src/render/render-job.ts'
import { gatheredText } from '../../../apps/cli/src/render/render-output.ts'

function countsOf(some: Partial<Counts>): { counts: Counts; total: number } {
  const counts = Counts.parse({ ...Object.fromEntries(RunState.options.map((state) => [state, 0])), ...some })
  return { counts, total: Object.values(counts).reduce((sum, count) => sum + count, 0) }
}

describe('the exit status of a job that has ended', () => {
  test.each([
    [{ succeeded: 5 }, EXIT.succeeded],
    [{ succeeded: 4, failed: 1 }, EXIT.someFailed],
    [{ succeeded: 4, timed_out: 1 }, EXIT.someFailed],
    [{ cancelled: 2 }, EXIT.someFailed],
    [{ succeeded: 4, unreachable: 1 }, EXIT.onlyUnreached],
    [{ unreachable: 3, skipped: 2 }, EXIT.onlyUnreached],
    [{ unreachable: 1, failed: 1 }, EXIT.someFailed],
    [{ succeeded: 99, lost: 1 }, EXIT.anyLost],
    [{ failed: 1, unreachable: 1, lost: 1 }, EXIT.anyLost],
  ])('%j gives %i', (counts, status) => {
    expect(exitStatusOf(countsOf(counts))).toBe(status)
  })

  test.each(['succeeded', 'failed', 'timed_out', 'unreachable', 'cancelled', 'skipped', 'lost'] as const)(
    'one run that is %s has that of a job of one host',
    (state) => {
      expect(exitStatusOfRun(state)).toBe(exitStatusOf(countsOf({ [state]: 1 })))
    },
  )

  test('an empty target set has a status of its own; any other refusal is a usage error', () => {
    expect(exitStatusOfProblem({ code: 'no_targets' })).toBe(3)
    expect(exitStatusOfProblem({ code: 'unknown_target' })).toBe(2)
  })
})

const JOB: Job = {
  ...countsOf({}),
  job_id: `job_${'a'.repeat(26)}`,
  owner: 'first',
  traceparent: null,
  state: 'running',
  title: 't',
  targets: 'x',
  selection: { exclude: null, pick: null, order: 'given', limit: null, seed: null },
  rerun_of: null,
  concurrency: 1,
  budget: { max_errors: 1, errors: 0, exceeded: false, on_budget: 'drain' },
  batch: null,
  changes: 1,
  submitted_by: 'k',
  created_at: '2026-01-01T00:00:00.000Z',
  started_at: null,
  ended_at: null,
  links: { self: '', runs: '', output: '', events: '' },
  exec_timeout_s: 300,
  cancel_requested_at: null,
}

describe('flags', () => {
  test('every field of a submit has a flag, or is said in another way', () => {
    // Names of secret variables are a flag and a part of a field.
    const fields = new Set<string>([...RUN_FLAGS.map(({ field }) => field), ...SPELLED_OTHERWISE])
    expect([...fields].toSorted()).toEqual(Object.keys(OPERATIONS.submit_job.input.shape).toSorted())
    expect(RUN_FLAGS.every(({ description }) => description !== '')).toBe(true)
  })

  test('values have the types of their fields', () => {
    const args = [
      '@web',
      '--exec-timeout-s',
      '1.5',
      '--concurrency',
      '25%',
      '--env',
      'A=b=c',
      '--env',
      'D=',
      '--',
      'df',
      '-h',
    ]
    const line = readCommandLine(args, RUN_FLAGS, [])
    expect(line.fields).toEqual({ exec_timeout_s: 1.5, concurrency: '25%', env: { A: 'b=c', D: '' } })
    expect(line).toMatchObject({ words: ['@web'], afterDashes: ['df', '-h'] })
    expect(readCommandLine(['--concurrency', '7'], RUN_FLAGS, []).fields).toEqual({ concurrency: 7 })
  })

  test('a list is given at once, one by one, or both, and its numbers are numbers', () => {
    const args = ['--retry-on', '75,lost', '--retry-on', 'timed_out', '--durable', '--run-as', 'postgres', '--sudo']
    expect(readCommandLine(args, RUN_FLAGS, []).fields).toEqual({
      retry_on: [75, 'lost', 'timed_out'],
      durable: true,
      sudo: true,
      run_as: 'postgres',
    })
  })

  test.each([
    [['--bogus'], '--bogus'],
    [['--retry-on'], '--retry-on'],
    [['--durable=no'], '--durable'],
    [['--exec-timeout-s'], '--exec-timeout-s'],
    [['--env', 'novalue'], '--env takes NAME=VALUE, not "novalue"'],
  ])('%j is refused by name', (args, message) => {
    expect(() => readCommandLine(args, RUN_FLAGS, [])).toThrow(message)
  })

  test('what follows -- is the command, however it looks', () => {
    expect(readCommandLine(['web1', '--', 'ls', '--json', '--', '-x'], RUN_FLAGS, []).afterDashes).toEqual([
      'ls',
      '--json',
      '--',
      '-x',
    ])
  })
})

describe('what is shown', () => {
  const group = {
    state: 'succeeded',
    reason: null,
    exit_code: 0,
    signal: null,
    stderr: '',
    stderr_bytes: 0,
    truncated: false,
    output_complete: true,
    detail: null,
    distinct_outputs: 1,
    is_reference: false,
    diff: null,
  } as const
  const gathered: GatheredOutput = {
    job_id: `job_${'a'.repeat(26)}`,
    state: 'partial',
    total: 4,
    groups: [{ ...group, hosts: 'web[01-02]', count: 2, stdout: 'evil \x1b[2J\u202e text', stdout_bytes: 16 }],
    without_output: [
      {
        state: 'unreachable',
        reason: 'conn_refused',
        exit_code: null,
        detail: 'no \x07 answer',
        hosts: 'db1',
        count: 1,
      },
    ],
    omitted_groups: 0,
    omitted_hosts: 0,
    omitted: [],
    uncompared_hosts: 0,
  }

  test('control characters from hosts are made visible, and every line ends', () => {
    const text = gatheredText(gathered)
    expect(text).toContain('── web[01-02] (2 hosts): succeeded\n│ evil ')
    expect(text).toContain('── db1: unreachable, conn_refused, no ')
    expect(['\x1b', '\x07', '\u202e'].some((character) => text.includes(character))).toBe(false)
    expect(text.endsWith('\n')).toBe(true)
  })

  test('a reason without a detail is reported in words', () => {
    const skipped = {
      state: 'skipped',
      reason: 'start_deadline',
      exit_code: null,
      detail: null,
      hosts: 'db1',
      count: 1,
    }
    const text = gatheredText({ ...gathered, groups: [], without_output: [HostsByState.parse(skipped)] })
    expect(text).toBe('── db1: skipped, start_deadline, it could not start within start_deadline_s\n')
  })

  test.each([
    [{ state: 'failed', reason: 'exit_nonzero', exit_code: 3 }, 'failed, exit code 3'],
    [{ state: 'failed', reason: 'exit_nonzero', exit_code: 3, detail: 'exit status 3' }, 'failed, exit code 3'],
    [
      { state: 'failed', reason: 'signal', signal: 'KILL', detail: 'the command was ended by SIGKILL' },
      'failed, signal KILL',
    ],
    [
      { state: 'failed', reason: 'signal', detail: 'the command was ended by a signal' },
      'failed, signal, the command was ended by a signal',
    ],
    [
      { state: 'timed_out', reason: 'exec_timeout', exit_code: 143, signal: 'TERM' },
      'timed out, exec_timeout, exit code 143, signal TERM, it ran longer than exec_timeout_s, and was killed',
    ],
    [
      { state: 'lost', reason: 'conn_lost', exit_code: null, output_complete: false },
      'lost, conn_lost, the connection was lost before it brought a result',
    ],
    [
      { state: 'failed', reason: 'health_check', detail: 'the health check ended with exit code 7: no \x07 answer' },
      'failed, health_check, the health check ended with exit code 7: no \\x07 answer',
    ],
  ] as const)('a group of hosts tells why in words, and what may be missing: %j', (end, title) => {
    const some = { ...group, hosts: 'web01', count: 1, stdout: 'some', stdout_bytes: 4, ...end }
    const missing = end.state === 'lost' ? '[some of it may be missing]\n' : ''
    const text = gatheredText({ ...gathered, groups: [some], without_output: [] })
    expect(text).toBe(`── web01: ${title}\n│ some\n${missing}`)
  })

  test('a host whose breaker is open says by which flag it is tried all the same', () => {
    const detail = `it refused several log-ins in a row, and is not tried before T ${UNLESS_FORCED.asField}`
    const barred = HostsByState.parse({
      state: 'skipped',
      reason: 'breaker_open',
      exit_code: null,
      detail,
      hosts: 'a',
      count: 1,
    })
    expect(gatheredText({ ...gathered, groups: [], without_output: [barred] })).toMatch(
      /^── a: skipped, breaker_open, it refused .* before T unless --force is given\n$/,
    )
  })

  test('hosts without output tell why in words, also when there is an exit code', () => {
    const killed = HostsByState.parse({
      state: 'timed_out',
      reason: 'idle_timeout',
      exit_code: 143,
      detail: null,
      hosts: 'db1',
      count: 1,
    })
    const failed = HostsByState.parse({ ...killed, state: 'failed', reason: 'exit_nonzero', exit_code: 1 })
    expect(gatheredText({ ...gathered, groups: [], without_output: [killed, failed] })).toBe(
      '── db1: timed out, idle_timeout, exit code 143, it printed nothing for idle_timeout_s, and was killed\n' +
        '── db1: failed, exit_nonzero, exit code 1\n',
    )
  })

  test('a job shows the notices of its hosts, and no control character of them', () => {
    const notices = [{ notice: 'ran attached: \x1b[2J', hosts: 'web[01-02]', count: 2 }]
    const options = RolloutOptions.parse({})
    const none = { problems: [], problems_omitted: 0, tripped_by: null, reruns: [] }
    const text = jobText({ ...JOB, ...none, command: 'true', arguments: null, options, notices })
    expect(text).toContain('\n── web[01-02] (2 hosts): ran attached: ')
    expect(text).not.toContain('\x1b')
  })

  test('a run that waits to be tried again has not ended, and says so', () => {
    let written = ''
    const progress = createProgress({
      write: (text) => {
        written += text
      },
    })
    progress.show({ ...JOB, ...countsOf({ retry_wait: 2, succeeded: 1 }) })
    expect(written).toBe('1/3 ended: 2 waiting to retry, 1 succeeded\n')
  })

  test('progress is a line drawn again on a terminal, and whole lines in a pipe', () => {
    const job = { ...countsOf({ succeeded: 1, running: 1 }), ended_at: null } as const
    const shown = (isTTY: boolean) => {
      let written = ''
      const progress = createProgress({
        isTTY,
        columns: 60,
        write: (text) => {
          written += text
        },
      })
      const asJob: Job = { ...JOB, ...job }
      progress.show(asJob)
      progress.show(asJob)
      progress.end()
      return written
    }
    expect(shown(false)).toBe('1/2 ended: 1 running, 1 succeeded\n')
    expect(shown(true).startsWith('\r\x1b[2K█')).toBe(true)
    expect(shown(true)).toContain('1/2  1 running')
    expect(shown(true).endsWith('\r\x1b[2K')).toBe(true)
  })
})
