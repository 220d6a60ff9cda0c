/** Rollouts end to end: what real hosts, workers and a spent budget make of batches, health checks and host limits. */
import { OPERATIONS } from '@muster/contract'
import { expect, test } from 'vitest'
import { fleetFiles } from '../../support/stack/fleet-files.ts'
import { type Stack, startStack } from '../../support/stack/stack.ts'
import { witnessFile } from '../../support/stack/witness.ts'

async function runsOf(stack: Stack, jobId: string) {
  return OPERATIONS.list_runs.output.parse((await stack.ask('GET', `/v1/jobs/${jobId}/runs`)).body).runs
}

test('a canary that fails its health check stops the rollout: nothing starts on the other hosts', async () => {
  const stack = await startStack({ ...fleetFiles(6) })
  const witness = await witnessFile()
  const { job_id } = await stack.submit({
    targets: '@web',
    command: `echo ran >> ${witness.path}`,
    canary: 2,
    health_check: { command: 'echo "port 80 is closed" >&2; exit 3' },
  })
  expect(await stack.ended(job_id)).toMatchObject({
    state: 'failed',
    counts: { failed: 2, skipped: 4 },
    budget: { max_errors: 0, errors: 2, exceeded: true },
  })
  const [run] = await runsOf(stack, job_id)
  const detail = 'the health check ended with exit code 3: port 80 is closed'
  expect(run).toMatchObject({ state: 'failed', reason: 'health_check', exit_code: 0, remote: 'ended', detail })
  expect(await witness.lines()).toEqual(['ran', 'ran'])
}, 60_000)

test.each([false, true])(
  'a health check that succeeds adds nothing to the output (durable: %s)',
  async (durable) => {
    const stack = await startStack({ ...fleetFiles(1) })
    const check = { command: 'pwd; test -d .' }
    const request = { targets: 'web01', command: 'echo done', cwd: '/', durable, health_check: check }
    const { job_id } = await stack.submit(request)
    expect(await stack.ended(job_id)).toMatchObject({ state: 'succeeded' })
    const { body } = await stack.ask('GET', `/v1/jobs/${job_id}/output`)
    expect(OPERATIONS.gather_output.output.parse(body).groups).toMatchObject([{ stdout: 'done\n', stderr: '' }])
  },
  60_000,
)

test('a health check that takes too long is killed, and the host has failed (durable too)', async () => {
  const stack = await startStack({ ...fleetFiles(2) })
  const health_check = { command: 'sleep 60', timeout_s: 1 }
  for (const durable of [false, true]) {
    const { job_id } = await stack.submit({
      targets: '@web',
      command: 'true',
      durable,
      kill_grace_s: 0.2,
      health_check,
    })
    expect(await stack.ended(job_id)).toMatchObject({ state: 'failed', counts: { failed: 2 } })
    const [run] = await runsOf(stack, job_id)
    expect(run).toMatchObject({ reason: 'health_check', exit_code: 0 })
    expect(run?.detail).toContain('the time limit was reached')
  }
}, 60_000)

test.each([false, true])(
  'a cancel during the health check is no failure of the host (durable: %s)',
  async (durable) => {
    const stack = await startStack({ ...fleetFiles(1) })
    const witness = await witnessFile()
    const health_check = { command: `echo checking >> ${witness.path}; sleep 60` }
    const { job_id } = await stack.submit({
      targets: 'web01',
      command: 'true',
      durable,
      kill_grace_s: 0.2,
      health_check,
    })
    await expect.poll(() => witness.lines(), { timeout: 20_000 }).toEqual(['checking'])
    await stack.ask('POST', `/v1/jobs/${job_id}/cancel`, {})
    expect(await stack.ended(job_id)).toMatchObject({ state: 'cancelled', budget: { errors: 0 } })
    const [run] = await runsOf(stack, job_id)
    expect(run).toMatchObject({ state: 'cancelled', reason: 'cancelled_by_user', remote: 'ended', exit_code: 0 })
  },
  60_000,
)

test.each([
  ['drain', { succeeded: 2, failed: 1, skipped: 3 }],
  ['cancel', { cancelled: 2, failed: 1, skipped: 3 }],
] as const)(
  'with on_budget %s, what runs when the budget is spent is let be, or killed',
  async (on_budget, counts) => {
    const stack = await startStack({ ...fleetFiles(6) })
    const witness = await witnessFile()
    const { job_id } = await stack.submit({
      targets: '@web',
      // One of the first three fails once all three have begun; the others take longer than that.
      command: `echo began >> ${witness.path}
      if mkdir ${witness.path}.first 2>/dev/null; then
        while [ "$(wc -l < ${witness.path})" -lt 3 ]; do sleep 0.1; done; exit 1
      fi
      sleep 4; echo ended >> ${witness.path}`,
      concurrency: 3,
      max_errors: 0,
      on_budget,
      kill_grace_s: 0.5,
    })
    expect(await stack.ended(job_id)).toMatchObject({ state: 'failed', counts })
    const reasons = (await runsOf(stack, job_id)).map(({ state, reason }) => `${state} ${reason}`).sort()
    if (on_budget === 'cancel') expect(reasons.slice(0, 2)).toEqual(Array(2).fill('cancelled error_budget'))
    expect((await witness.lines()).filter((line) => line === 'ended')).toHaveLength(on_budget === 'drain' ? 2 : 0)
  },
  60_000,
)

test('two jobs that change a host take turns there, and those that read it do not wait', async () => {
  const stack = await startStack({ ...fleetFiles(1), workers: 2 })
  const witness = await witnessFile()
  const command = `echo began >> ${witness.path}; sleep 1; echo ended >> ${witness.path}`
  const [first, second] = [
    await stack.submit({ targets: 'web01', command }),
    await stack.submit({ targets: 'web01', command }),
  ]
  const reading = await stack.submit({
    targets: 'web01',
    command: `grep -c ended ${witness.path} || true`,
    read_only: true,
  })
  await stack.ended(reading.job_id)
  await stack.ended(first.job_id)
  await stack.ended(second.job_id)
  expect(await witness.lines()).toEqual(['began', 'ended', 'began', 'ended'])
  const { body } = await stack.ask('GET', `/v1/jobs/${reading.job_id}/output`)
  const [group] = OPERATIONS.gather_output.output.parse(body).groups
  expect(Number(group?.stdout), 'it did not wait for both').toBeLessThan(2)
}, 60_000)

test('a job is run again on the hosts where it failed, and the two name each other', async () => {
  const stack = await startStack({ ...fleetFiles(4) })
  const witness = await witnessFile()
  const command = `echo ran >> ${witness.path}; [ "$(wc -l < ${witness.path})" -gt 2 ]`
  const { job_id } = await stack.submit({ targets: '@web', command, concurrency: 1 })
  expect(await stack.ended(job_id)).toMatchObject({ counts: { failed: 2, succeeded: 2 } })
  const path = `/v1/jobs/${job_id}/rerun`
  const { status, body } = await stack.ask('POST', path, { idempotency_key: 'once' })
  const again = OPERATIONS.rerun_job.output.parse(body)
  expect([status, again.total, again.rerun_of]).toEqual([202, 2, job_id])
  expect(await stack.ended(again.job_id)).toMatchObject({ state: 'succeeded', targets: 'web[01-02]' })
  const repeated = OPERATIONS.rerun_job.output.parse((await stack.ask('POST', path, { idempotency_key: 'once' })).body)
  expect(repeated.job_id).toBe(again.job_id)
  const report = OPERATIONS.get_job.output.parse((await stack.ask('GET', `/v1/jobs/${job_id}`)).body)
  expect(report.reruns).toEqual([again.job_id])
  const none = await stack.ask('POST', `/v1/jobs/${again.job_id}/rerun`, {})
  expect([none.status, none.body]).toMatchObject([422, { code: 'no_targets', field: 'states' }])
  expect(await witness.lines()).toHaveLength(6)
}, 60_000)
