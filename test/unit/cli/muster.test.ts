/** The parts of the `muster` command that need no server: exit statuses, flags, and how things look. */
import {
  createProgress,
  EXIT,
  exitStatusOf,
  exitStatusOfProblem,
  gatheredText,
  RUN_FLAGS,
  readCommandLine,
  SPELLED_OTHERWISE,
} from '@muster/cli'
import { Counts, type GatheredOutput, type Job, OPERATIONS, RunState } from '@muster/contract'
import { describe, expect, test } from 'vitest'

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

  test('an empty target set has a status of its own; any other refusal is a usage error', () => {
    expect(exitStatusOfProblem({ code: 'no_targets' })).toBe(3)
    expect(exitStatusOfProblem({ code: 'unknown_target' })).toBe(2)
  })
})

describe('flags', () => {
  test('every field of a submit has a flag, or is said in another way', () => {
    const fields = [...RUN_FLAGS.map(({ field }) => field), ...SPELLED_OTHERWISE]
    expect(fields.toSorted()).toEqual(Object.keys(OPERATIONS.submit_job.input.shape).toSorted())
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

  test.each([
    [['--bogus'], '--bogus'],
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
  }

  test('control characters from hosts are made visible, and every line ends', () => {
    const text = gatheredText(gathered)
    expect(text).toContain('── web[01-02] (2 hosts): succeeded\nevil ')
    expect(text).toContain('── db1: unreachable, conn_refused, no ')
    expect(['\x1b', '\x07', '\u202e'].some((character) => text.includes(character))).toBe(false)
    expect(text.endsWith('\n')).toBe(true)
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
      const asJob: Job = {
        ...job,
        job_id: gathered.job_id,
        state: 'running',
        title: 't',
        targets: 'x',
        concurrency: 1,
        submitted_by: 'k',
        created_at: '2026-01-01T00:00:00.000Z',
        started_at: null,
        links: { self: '', runs: '', output: '' },
      }
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
