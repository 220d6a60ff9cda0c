/** The clocks and retries of a job, end to end: what is over is stopped, and what never started is tried again. */
import { setTimeout as sleep } from 'node:timers/promises'
import { OPERATIONS } from '@muster/contract'
import { expect, onTestFinished, test } from 'vitest'
import { startSshd } from '../../support/ssh/sshd.ts'
import { fleetFiles } from '../../support/stack/fleet-files.ts'
import { type Stack, startStack } from '../../support/stack/stack.ts'
import { witnessFile } from '../../support/stack/witness.ts'

async function runsOf(stack: Stack, jobId: string) {
  return OPERATIONS.list_runs.output.parse((await stack.ask('GET', `/v1/jobs/${jobId}/runs`)).body).runs
}

test('when the time of a job is over, what runs is killed and what waits never starts', async () => {
  const stack = await startStack({ ...fleetFiles(4) })
  const witness = await witnessFile()
  const { job_id } = await stack.submit({
    targets: '@web',
    command: `echo began >> ${witness.path}; sleep 60; echo ended >> ${witness.path}`,
    concurrency: 2,
    job_timeout_s: 3,
    kill_grace_s: 0.5,
  })
  expect(await stack.ended(job_id)).toMatchObject({ state: 'failed', counts: { timed_out: 2, skipped: 2 } })
  const runs = await runsOf(stack, job_id)
  expect(runs.map(({ state, reason, remote }) => [state, reason, remote])).toEqual([
    ['timed_out', 'job_timeout', 'ended'],
    ['timed_out', 'job_timeout', 'ended'],
    ['skipped', 'job_timeout', 'not_started'],
    ['skipped', 'job_timeout', 'not_started'],
  ])
  expect(await witness.lines()).toEqual(['began', 'began'])
}, 60_000)

test('a command that is silent for too long is killed, and told from one that runs too long', async () => {
  const stack = await startStack({ ...fleetFiles(1) })
  const command = 'echo one; sleep 1; echo two; sleep 60'
  const { job_id } = await stack.submit({ targets: 'web01', command, idle_timeout_s: 2, kill_grace_s: 0.5 })
  await stack.ended(job_id)
  const [run] = await runsOf(stack, job_id)
  expect(run).toMatchObject({ state: 'timed_out', reason: 'idle_timeout', remote: 'ended', stdout: { bytes: 8 } })
}, 60_000)

test('a host that is away is tried again, and the command runs once when it is back', async () => {
  const own = await startSshd()
  onTestFinished(() => own.close())
  const { port, user, keys, knownHosts } = own.facts
  const host = `{ address: 127.0.1.1, port: ${port}, user: ${user}, identity_file: ${keys.ed25519} }`
  const stack = await startStack({ inventory: `hosts:\n  web01: ${host}\n`, knownHosts })
  const witness = await witnessFile()
  const away = own.restart(2_000)
  const request = { targets: 'web01', command: `echo ran >> ${witness.path}`, retries: 5, retry_backoff_s: 1 }
  await sleep(200)
  const { job_id } = await stack.submit(request)
  await away
  expect(await stack.ended(job_id)).toMatchObject({ state: 'succeeded' })
  const [run] = await runsOf(stack, job_id)
  expect(run?.attempt).toBeGreaterThan(1)
  expect(run).toMatchObject({ reason: null, exit_code: 0 })
  expect(await witness.lines()).toHaveLength(1)
}, 60_000)

test('a command whose job says which exit codes may be tried again is run until it succeeds', async () => {
  const stack = await startStack({ ...fleetFiles(1) })
  const witness = await witnessFile()
  const command = `echo $$ >> ${witness.path}; n=$(wc -l < ${witness.path})
echo "attempt $n"; [ "$n" -ge 3 ] || exit 75`
  const { job_id } = await stack.submit({ targets: 'web01', command, retry_on: [75], retry_backoff_s: 0.1 })
  expect(await stack.ended(job_id)).toMatchObject({ state: 'succeeded' })
  const [run] = await runsOf(stack, job_id)
  expect(run).toMatchObject({ attempt: 3, exit_code: 0, reason: null, detail: null })
  const { body } = await stack.ask('GET', `/v1/jobs/${job_id}/output`)
  expect(OPERATIONS.gather_output.output.parse(body).groups).toMatchObject([{ stdout: 'attempt 3\n' }])
  expect(await witness.lines()).toHaveLength(3)
}, 60_000)
