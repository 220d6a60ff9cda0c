/** A worker's part in the tests of the ledger: it holds runs and ends them, without SSH. */
import { type Claim, claimRun, dispatchRun, findRun, type Ledger, type RunEnd } from '@muster/ledger'

/** Claims the run on host `h<index>` with the ticket it has now, for a worker that is alive. */
export async function claim(ledger: Ledger, jobId: string, index: number, worker = 'w1'): Promise<Claim> {
  const lease = ledger.keys.worker(worker)
  // A full Redis would not take it again.
  if ((await ledger.redis.exists(lease)) === 0) await ledger.redis.set(lease, 1)
  const [attempt, reissue] = await ledger.redis.hmget(ledger.keys.run(jobId, index), 'attempt', 'reissue')
  const ticket = { job_id: jobId, index, host: `h${index}`, attempt: Number(attempt), reissue: Number(reissue) }
  const claimed = await claimRun(ledger, ticket, worker)
  if (claimed === undefined) throw new Error(`run ${index} could not be claimed`)
  return claimed
}

/** The same, and the dispatch mark. */
export async function start(ledger: Ledger, jobId: string, index: number, mode: 'attached' | 'durable' = 'attached') {
  const claimed = await claim(ledger, jobId, index)
  const { word } = await dispatchRun(ledger, claimed, { connectMs: 5, mode })
  if (word !== 'go') throw new Error(`run ${index} could not be dispatched: ${word}`)
  return claimed
}

/** An end; without more, that of a command that succeeded. */
export function ended(facts: Partial<RunEnd> = {}): RunEnd {
  return {
    state: 'succeeded',
    remote: 'ended',
    reason: null,
    detail: null,
    exitCode: 0,
    signal: null,
    isRetryable: false,
    ...facts,
  }
}

/** The end of a command with this exit code. */
export const exited = (exitCode: number) => ended({ state: 'failed', reason: 'exit_nonzero', exitCode })

/** The end of an attempt that never started, and that may be tried again. */
export const refused = ended({
  state: 'unreachable',
  remote: 'not_started',
  reason: 'conn_refused',
  exitCode: null,
  isRetryable: true,
})

/** The run on host `h0`. */
export async function firstRun(ledger: Ledger, jobId: string) {
  const run = await findRun(ledger, jobId, 'h0')
  if (run === undefined) throw new Error('there is no such run')
  return run
}
