/**
 * What must hold whatever the clocks say: a retry comes in seconds and not at once, start deadlines and exec timeouts
 * end what they are for, the run of a dead worker is settled, and nothing runs twice. Told with any clocks, before and
 * after any step of them.
 */
import { OPERATIONS } from '@muster/contract'
import { expect } from 'vitest'
import type { Stack } from './stack.ts'
import { witnessFile } from './witness.ts'

/** Seconds of the retries here; jitter takes up to half of them. */
const BACKOFF_S = 2

/** The hosts that the story needs: web01 to web04. */
export const STORY_HOSTS = 4

/** Tells it. `step` is what happens to the clocks; the workers are killed in the end, and another one is started. */
export async function tellClockStory(stack: Stack, step: () => Promise<void> = async () => {}): Promise<void> {
  const held = await witnessFile()
  const { job_id: heldJob } = await stack.submit({ targets: 'web01', command: `echo began >> ${held.path}; sleep 90` })
  await expect.poll(held.lines, { timeout: 20_000 }).toEqual(['began'])
  const late = await stack.submit({ targets: 'web01', command: 'true', start_deadline_s: 5 })
  const before = await submitRetried(stack, 'web02', 3 * BACKOFF_S)
  await expect.poll(() => stateOf(stack, before.jobId, 'web02'), { timeout: 20_000 }).toBe('retry_wait')

  await step()

  const after = await submitRetried(stack, 'web03')
  const tooLong = { targets: 'web04', command: 'sleep 60', exec_timeout_s: 1, kill_grace_s: 0.5 }
  const slow = await stack.submit(tooLong)
  expect(await stack.ended(before.jobId)).toMatchObject({ state: 'succeeded' })
  expect(await before.times()).toHaveLength(2)
  expect(await stack.ended(after.jobId)).toMatchObject({ state: 'succeeded' })
  const [first = 0, second = 0, ...more] = await after.times()
  expect(second - first).toBeGreaterThanOrEqual((BACKOFF_S * 1_000) / 2)
  expect(more).toEqual([])
  expect(await stack.ended(slow.job_id)).toMatchObject({ counts: { timed_out: 1 } })
  expect((await stack.ended(late.job_id)).problems).toMatchObject([{ state: 'skipped', reason: 'start_deadline' }])
  expect(await stateOf(stack, heldJob, 'web01'), 'a command whose worker lives goes on').toBe('running')

  for (const worker of stack.workers) process.kill(worker.pid, 'SIGKILL')
  await stack.startWorker()
  expect((await stack.ended(heldJob)).problems).toMatchObject([{ state: 'lost', reason: 'worker_lost' }])
  expect(await held.lines()).toEqual(['began'])
}

/** A command that fails once, and may be run again. `times`: when it ran, in milliseconds of the host. */
async function submitRetried(stack: Stack, targets: string, backoffS = BACKOFF_S) {
  const witness = await witnessFile()
  const command = `date +%s%3N >> ${witness.path}; [ "$(wc -l < ${witness.path})" -gt 1 ] || exit 75`
  const retrying = { retry_on: [75], retries: 1, retry_backoff_s: backoffS }
  const { job_id: jobId } = await stack.submit({ targets, command, ...retrying })
  return { jobId, times: async () => (await witness.lines()).map(Number) }
}

async function stateOf(stack: Stack, jobId: string, host: string) {
  return OPERATIONS.get_run.output.parse((await stack.ask('GET', `/v1/jobs/${jobId}/runs/${host}`)).body).state
}
