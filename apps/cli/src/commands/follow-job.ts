/** Follows a job to its end. Meanwhile Ctrl-C detaches, and pressed twice cancels. */
import { isTerminalJob, type JobReport } from '@muster/contract'
import { Refused } from '../client/client.ts'
import type { Cli } from '../line/command.ts'
import { EXIT, exitStatusOf } from '../line/exit-status.ts'
import { createPatience, PATIENCE_MS } from '../line/patience.ts'
import { createProgress } from '../line/progress.ts'
import { gateText } from '../render/render-job.ts'

/** The longest wait for one answer. */
const WAIT_S = 20
/** The least time between two looks at a job that changes all the time. */
const LOOK_EVERY_MS = 200
/** How long to wait for a second Ctrl-C. */
const GRACE_MS = 2_000

/** How following ended. */
export type Followed = { readonly job: JobReport; readonly status: number }

/**
 * Follows the job until it ends, `limitS` is over, the person interrupts, or the key may not read it. Keeps waiting at
 * a gate: another caller may resume the job from elsewhere.
 * @throws {ServerAway} when the server was away for longer than `PATIENCE_MS`
 */
export async function followJob(cli: Cli, first: JobReport, limitS: number | undefined): Promise<Followed> {
  const { client, interrupts } = cli
  const progress = createProgress(cli.stderr)
  const advice = `The job goes on; follow it again with: muster wait ${first.job_id}`
  const patience = createPatience(cli, { limitMs: PATIENCE_MS, advice })
  const endMs = limitS === undefined ? Number.POSITIVE_INFINITY : performance.now() + limitS * 1_000
  let job = first
  let toldGate: number | undefined
  const show = () => {
    progress.show(job)
    const gate = job.state === 'paused' ? job.batch?.number : undefined
    if (gate === undefined || gate === toldGate) return
    toldGate = gate
    progress.end()
    cli.say(gateText(job))
  }
  try {
    show()
    while (!isTerminalJob(job.state)) {
      const leftMs = endMs - performance.now()
      if (leftMs <= 0) return { job, status: EXIT.waitEnded }
      const wait_s = Math.min(WAIT_S, Math.ceil(leftMs / 1_000))
      const lookMs = performance.now()
      try {
        const since = { until: 'any_change' as const, after: job.changes }
        job = await client.call('get_job', { job_id: job.job_id, wait_s, ...since }, interrupts.signal())
      } catch (error) {
        // Otherwise the progress line would run into the message.
        progress.end()
        if (isUnreadable(error)) {
          cli.say('The job goes on; the API key may not read how it ends (jobs:read).')
          return { job, status: EXIT.waitEnded }
        }
        await patience.endure(error)
        continue
      }
      patience.answered()
      show()
      await interrupts.sleep(LOOK_EVERY_MS - (performance.now() - lookMs))
    }
    return { job, status: exitStatusOf(job) }
  } catch (error) {
    if (interrupts.count() === 0) throw error
    return await interrupted(cli, job)
  } finally {
    progress.end()
  }
}

/** Whether a call was refused because the key runs jobs and does not read them, or what they print. */
export function isUnreadable(error: unknown): boolean {
  return error instanceof Refused && error.problem.code === 'insufficient_scope'
}

async function interrupted({ client, interrupts, say }: Cli, job: JobReport): Promise<Followed> {
  say(`\nDetached; the job goes on. Wait for it again with: muster wait ${job.job_id}`)
  say('Press Ctrl-C once more now to cancel the job.')
  const isCancel = await interrupts.again(GRACE_MS)
  if (!isCancel) return { job, status: EXIT.interrupted }
  const cancelled = await client.call('cancel_job', { job_id: job.job_id })
  say(`Asked to cancel; the job is ${cancelled.state}.`)
  return { job: cancelled, status: EXIT.interrupted }
}
