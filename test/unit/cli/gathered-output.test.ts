/** `muster output` of a whole job: what is asked for, and how groups and their differences look. */

import type { GatheredOutput } from '@muster/contract'
import { expect, test } from 'vitest'
import { outputCommand } from '../../../apps/cli/src/commands/output-command.ts'
import { readCommandLine } from '../../../apps/cli/src/line/flags.ts'
import { answer, JOB_ID, scripted } from '../../support/ssh/scripted-server.ts'

const GROUP: GatheredOutput['groups'][number] = {
  hosts: 'web[01-40]',
  count: 40,
  state: 'failed',
  reason: 'exit_nonzero',
  exit_code: 1,
  signal: null,
  detail: null,
  distinct_outputs: 40,
  stdout: 'ill\n',
  stderr: '',
  stdout_bytes: 4,
  stderr_bytes: 0,
  truncated: false,
  output_complete: true,
  is_reference: false,
  diff: '-well\n+ill \x1b[2J\n',
}
const REFERENCE: typeof GROUP = {
  ...GROUP,
  hosts: 'db1',
  count: 1,
  state: 'succeeded',
  reason: null,
  exit_code: 0,
  distinct_outputs: 1,
  stdout: 'well\n',
  is_reference: true,
  diff: null,
}
const GATHERED: GatheredOutput = {
  job_id: JOB_ID,
  state: 'partial',
  total: 45,
  groups: [GROUP, REFERENCE, { ...REFERENCE, hosts: 'db2', exit_code: 9, is_reference: false, diff: '' }],
  without_output: [],
  omitted_groups: 1,
  omitted_hosts: 3,
  omitted: [{ state: 'lost', reason: 'conn_lost', exit_code: null, detail: null, hosts: 'db[3-5]', count: 3 }],
  uncompared_hosts: 2,
}

async function output(...args: string[]) {
  const { cli, out, paths } = await scripted((_, response) => answer(response, 200, GATHERED))
  const line = readCommandLine([JOB_ID, ...args], [], outputCommand.switches)
  return { status: await outputCommand.act(cli, line), text: out(), path: decodeURIComponent(paths[0] ?? '') }
}

test('a diff shows the group that others are compared with first, and what was left out by state', async () => {
  const { status, text, path } = await output('--diff', '--mask', 'host,time')
  expect(path).toContain('mask=host,time')
  expect(path).toContain('diff=true')
  expect([status, text]).toEqual([
    0,
    '── db1: succeeded\n│ well\n\n' +
      '── web[01-40] (40 hosts): failed, exit code 1\n│ -well\n│ +ill \\x1b[2J\n' +
      '[what was masked differs from host to host]\n\n' +
      '── db2: succeeded, exit code 9\n[the same output as the first group]\n' +
      `[1 more groups with 3 hosts; for fewer groups: muster output ${JOB_ID} --diff ` +
      `--mask host,address,time,pid,number; ` +
      `for one host: muster output ${JOB_ID} HOST]\n` +
      '── db[3-5] (3 hosts): lost, conn_lost, the connection was lost before it brought a result\n' +
      '[2 hosts whose output could not be masked]\n',
  ])
})

test('without --diff and --mask neither is asked for', async () => {
  const { path } = await output()
  expect(path).toMatch(/diff=false/)
  expect(path).not.toMatch(/mask=\w/)
})

test('a mask that is none is refused before anything is sent, and so is one for a single host', async () => {
  await expect(output('--mask', 'host,colour')).rejects.toThrow(/--mask: .*"host"/)
  await expect(output('web01', '--mask', 'host')).rejects.toThrow('--mask takes a job ID and no host')
  await expect(output('web01', '--diff')).rejects.toThrow('--diff takes a job ID and no host')
})
