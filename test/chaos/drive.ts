/** Submits the planned jobs, some at a time, cancels those that are to be cancelled, and waits for their ends. */
import { setTimeout as sleep } from 'node:timers/promises'
import { isTerminalJob, OPERATIONS, type Request } from '@muster/contract'
import type { Caller } from './caller.ts'
import type { PlannedJob } from './commands.ts'
import { type ScriptContext, scriptOf } from './script.ts'

/** A job that was sent: the job IDs that were given for its one idempotency key. */
export type SentJob = { readonly planned: PlannedJob; readonly jobIds: readonly string[] }

/** Jobs under way at once: with those sizes, about a hundred commands. */
const JOBS_AT_ONCE = 10
const WAIT_S = 20

/**
 * Drives all jobs to their ends. `onSubmit` is told of each one that was accepted.
 * Never rejects because of a job: one that has not ended when the caller's time is over is left as it is.
 */
export async function driveJobs(options: {
  readonly jobs: readonly PlannedJob[]
  readonly caller: Caller
  readonly context: ScriptContext
  readonly onSubmit: (job: PlannedJob) => void
  readonly say: (line: string) => void
}): Promise<SentJob[]> {
  const { jobs, caller, context, onSubmit, say } = options
  const sent: SentJob[] = []
  const waiting = [...jobs]
  const drive = async () => {
    for (let planned = waiting.shift(); planned !== undefined; planned = waiting.shift()) {
      const jobIds: string[] = []
      sent.push({ planned, jobIds })
      try {
        jobIds.push(...(await submit(caller, planned, context)))
        onSubmit(planned)
        await Promise.all([cancel(caller, planned, jobIds.at(0)), untilEnded(caller, jobIds.at(0))])
      } catch (error) {
        say(`${planned.id} ${jobIds.join(' ')}: ${String(error)}`)
      }
    }
  }
  await Promise.all(Array.from({ length: JOBS_AT_ONCE }, drive))
  return sent
}

async function submit(caller: Caller, planned: PlannedJob, context: ScriptContext): Promise<string[]> {
  const request: Request<'submit_job'> = {
    command: scriptOf(planned, context),
    targets: planned.hosts.map(({ name }) => name).join(','),
    title: planned.id,
    idempotency_key: `${context.nonce}-${planned.id}`,
    concurrency: planned.concurrency,
    // Hosts are made unreachable on purpose; a breaker that opens would leave little to be tested.
    force: true,
    ...(planned.isAlone ? {} : { host_limit: 50 }),
    durable: planned.durable,
    exec_timeout_s: planned.execTimeoutS,
    // As long as the longest fault: a connection that is held up goes on.
    connect_timeout_s: 60,
    kill_grace_s: 1,
    retry_backoff_s: 0.5,
    output_limit_bytes: planned.outputLimitBytes,
  }
  const ids = new Set<string>()
  for (let time = 0; time < (planned.isRepeated ? 2 : 1); time += 1) {
    const answer = await caller.ask('POST', '/v1/jobs', request)
    ids.add(OPERATIONS.submit_job.output.parse(answer).job_id)
  }
  return [...ids]
}

async function cancel(caller: Caller, { cancel: plan }: PlannedJob, jobId: string | undefined): Promise<void> {
  if (plan === undefined || jobId === undefined) return
  await sleep(plan.afterMs)
  await caller.ask(
    'POST',
    `/v1/jobs/${jobId}/cancel`,
    plan.hosts === undefined ? {} : { targets: plan.hosts.join(',') },
  )
}

async function untilEnded(caller: Caller, jobId: string | undefined): Promise<void> {
  for (;;) {
    const answer = await caller.ask('GET', `/v1/jobs/${jobId}?wait_s=${WAIT_S}`)
    if (answer === undefined || isTerminalJob(OPERATIONS.get_job.output.parse(answer).state)) return
  }
}
