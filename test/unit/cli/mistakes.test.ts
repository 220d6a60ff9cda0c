/** What a person is told who mistypes a command line, and what `muster help` shows: the command as a process. */

import { MusterError, type OperationName, toProblem } from '@muster/contract'
import { describe, expect, test } from 'vitest'
import { checkedInput } from '../../../apps/cli/src/line/checked-input.ts'
import { muster } from '../../support/cli/muster-process.ts'
import { answer, scripted } from '../../support/ssh/scripted-server.ts'

const JOB_ID = `job_${'a'.repeat(26)}`
/** No server is needed: nothing that is wrong is sent. */
const ENV = { PATH: process.env.PATH, MUSTER_URL: 'http://127.0.0.1:1', MUSTER_API_KEY: 'k' }
const SUBMIT = { targets: 'web01', command: 'true' }

describe('a value that is not accepted', () => {
  test.each<[OperationName, Record<string, unknown>, string]>([
    [
      'extend_job',
      { job_id: JOB_ID },
      '--exec-timeout-s is missing: The new limit, counted from when each command was sent',
    ],
    ['extend_job', { job_id: JOB_ID, exec_timeout_s: '1e3' }, '--exec-timeout-s: expected a number; given "1e3"'],
    [
      'submit_job',
      { ...SUBMIT, exec_timeout_s: 9e9 },
      '--exec-timeout-s: Too big: expected a number to be <=604800; given 9000000000',
    ],
    [
      'submit_job',
      { ...SUBMIT, retry_on: [75, 'sometimes'] },
      '--retry-on: expected an exit code from 1 to 255, "lost" or "timed_out"; given "sometimes"',
    ],
    [
      'submit_job',
      { ...SUBMIT, concurrency: '200%' },
      '--concurrency: expected a whole number from 1 to 10000, or a percentage from "1%" to "100%"; given "200%"',
    ],
    ['submit_job', { ...SUBMIT, concurrency: 0 }, '--concurrency: expected a whole number from 1 to 10000, or a perc'],
    ['submit_job', { ...SUBMIT, max_errors: [] }, '--max-errors: expected a whole number from 0 to 1000000, or a perc'],
    [
      'submit_job',
      { ...SUBMIT, max_errors: 1.5 },
      '--max-errors: expected a whole number from 0 to 1000000, or a perc',
    ],
    [
      'submit_job',
      { ...SUBMIT, targets: 'w'.repeat(10_001) },
      `targets: Too big: expected a string to have <=10000 characters; given "${'w'.repeat(59)}… (10003 characters)`,
    ],
    [
      'submit_job',
      { targets: 'web01', script: '' },
      '--script: Too small: expected a string to have >=1 characters; given a text of 0 bytes',
    ],
    ['submit_job', { ...SUBMIT, script: 'x' }, 'command: give exactly one of command, argv and script'],
    [
      'read_output',
      { job_id: JOB_ID, host: 'web01', stream: 'stdin' },
      '--stream: expected one of "stdout"|"stderr"; given "stdin"',
    ],
    ['get_job', { job_id: 'job_1' }, 'job_id: a job ID looks like job_ and 26 letters and digits; given "job_1"'],
  ])('is reported with what is: %s', (name, given, message) => {
    expect(() => checkedInput(name, given)).toThrow(message)
  })

  test('because of another one is reported without a value', () => {
    expect(() => checkedInput('submit_job', { ...SUBMIT, script: 'x' })).toThrow(/ command, argv and script$/)
  })

  test('a value that may be a password is not repeated', () => {
    const given = { ...SUBMIT, env: { 'A-B': 'hush', C: 'hush\0' } }
    const told = (() => {
      try {
        return checkedInput('submit_job', given)
      } catch (error) {
        return String(error)
      }
    })()
    expect(told).toContain('--env: a variable name has letters, digits and "_"')
    expect(told).toContain('--env: must not contain a NUL character')
    expect(told).not.toContain('hush')
  })
})

test.each([
  [
    ['cancel', JOB_ID, 'n01'],
    'muster cancel takes one job ID, and was given "n01" too; name hosts of it with --targets',
  ],
  [['show'], 'muster show takes a job ID'],
  [['extend', JOB_ID], '--exec-timeout-s is missing'],
  [['runs', JOB_ID, '--bogus'], "Unknown option '--bogus'; muster help COMMAND lists its flags"],
  [['run', 'a', '--max-errors', '-1', '--', 'x'], '--max-errors takes a value; one that begins with "-" is written --'],
  [['run', 'a', '--max-errors=-1', '--', 'x'], '--max-errors: expected a whole number from 0 to 1000000, or a perc'],
  [['jobs', '--limit', '0'], '--limit: expected a whole number from 1; given "0"'],
  [['help', 'bogus'], 'there is no command "bogus"'],
])('muster %j is refused before anything is sent', async (args, message) => {
  const { status, said } = await muster(ENV, ...args)
  expect([status, said]).toEqual([2, expect.stringContaining(message)])
})

test.each([
  [
    'exclude',
    'no such host in the inventory: wbe',
    'muster: --exclude: no such host in the inventory: wbe (unknown_target)',
  ],
  ['targets', 'selects no host', 'muster: targets: selects no host (unknown_target)'],
  ['exclude', 'exclude: too long', 'muster: --exclude: too long (unknown_target)'],
  ['job_id', 'there is no job', 'muster: there is no job (unknown_target)'],
])('a refusal of the server because of %s names the flag, once', async (field, detail, message) => {
  const { cli } = await scripted((_, response) =>
    answer(response, 422, toProblem(new MusterError('unknown_target', detail, { details: { field } }))),
  )
  const { status, said } = await muster({ ...ENV, MUSTER_URL: cli.client.url }, 'run', 'web', '--', 'true')
  expect([status, said.split('\n')[0]]).toEqual([2, message])
})

test.each(['key…', 'key\nkey'])(
  'an API key that no header can hold is told as such, and not shown: %j',
  async (key) => {
    const { status, said } = await muster({ ...ENV, MUSTER_API_KEY: key }, 'hosts')
    expect([status, said]).toEqual([2, 'muster: the API key (not shown) has characters that no header can hold\n'])
  },
)

describe('help', () => {
  test.each([
    ['extend', ['muster extend <job> --exec-timeout-s N', '--exec-timeout-s …', '--json']],
    ['runs', ['--state …', 'One of pending, queued, ']],
    ['output', ['muster output <job> <host> --follow', '--stream …', '--follow', '--json']],
    ['cancel', ['--targets …']],
    ['wait', ['--wait-s …']],
    ['jobs', ['--limit …', 'Default: 20.']],
    ['hosts', ['--json']],
    ['up', ['--install']],
    ['rerun', ['--states …,…', 'Default: failed,unreachable,skipped.', '--detach', '--idempotency-key …']],
    ['targets', ['--exclude …', '--order …', 'Default: given.']],
    ['concurrency', ['muster concurrency <job> <N|N%>']],
    ['run', ['--retry-on …,…', '--env NAME=VALUE', 'One word after --', 'Default: 300.', '--detach']],
  ])('of %s shows its own flags', async (command, parts) => {
    const { status, out, said } = await muster(ENV, 'help', command)
    expect([status, said]).toEqual([0, ''])
    for (const part of parts) expect(out.toString()).toContain(part)
    expect(out.toString()).not.toContain('Default: false')
    expect(
      Math.max(
        ...out
          .toString()
          .split('\n')
          .map((line) => line.length),
      ),
    ).toBeLessThanOrEqual(110)
    if (command !== 'run') expect(out.toString()).not.toMatch(/muster run |--durable/)
    expect((await muster(ENV, command, '--help')).out).toEqual(out)
  })

  test('of run has each flag once, under a heading', async () => {
    const text = (await muster(ENV, 'help', 'run')).out.toString()
    const [own = '', hosts = '', rollout = '', command = ''] = text.split(
      /\n\n(?=Which hosts|How it goes|How the command)/,
    )
    expect(own).toContain('\n  --health-check-timeout-s …')
    expect(hosts).toMatch(/^Which hosts.*:\n {2}--exclude …/)
    expect(rollout).toMatch(/^How it goes.*:\n {2}--concurrency …/)
    expect(command).toMatch(/^How the command.*:\n[\s\S]*--exec-timeout-s …/)
    const flags = text.match(/^ {2}--[a-z-]+/gm) ?? []
    expect(new Set(flags).size).toBe(flags.length)
    expect(flags).toEqual(expect.arrayContaining(['  --batches', '  --max-errors', '  --gate', '  --seed', '  --json']))
  })

  test('behind the dashes is a word of the command', async () => {
    const { status, out } = await muster({ ...ENV, MUSTER_URL: 'nowhere' }, 'run', 'web01', '--', 'ls', '--help')
    expect([status, out.toString()]).toEqual([2, ''])
  })
})
