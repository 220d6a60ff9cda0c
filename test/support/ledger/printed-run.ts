/** Runs that have printed and ended, as a worker leaves them behind, without SSH. */
import { createHash } from 'node:crypto'
import { appendOutput, claimRun, dispatchRun, finishRun, type Ledger, type RunEnd } from '@muster/ledger'

/** What a command printed and how it ended; without more, nothing, and well. */
export type Printed = {
  readonly stdout?: string | Buffer
  readonly stderr?: string
  readonly exitCode?: number
  /** Facts of the end that do not follow from the exit code. */
  readonly end?: Partial<RunEnd>
  /** False when more may have been printed. */
  readonly complete?: boolean
  /** Bytes of stdout that were not kept, behind those that were. */
  readonly omittedBytes?: number
}

/** Claims a run that is queued, sends its command, and stores what it printed; `goOn` leaves it running. */
export async function printAndEnd(
  ledger: Ledger,
  jobId: string,
  index: number,
  { stdout = '', stderr = '', exitCode = 0, end = {}, complete = true, omittedBytes = 0 }: Printed,
  goOn = false,
): Promise<void> {
  await ledger.redis.set(ledger.keys.worker('w1'), 1)
  const claim = await claimRun(ledger, { job_id: jobId, index, host: `h${index}`, attempt: 1, reissue: 0 }, 'w1')
  if (claim === undefined) throw new Error(`run ${index} could not be claimed`)
  await dispatchRun(ledger, claim, { connectMs: 5, mode: 'attached' })
  const streams = { stdout: Buffer.from(stdout), stderr: Buffer.from(stderr) }
  for (const stream of ['stdout', 'stderr'] as const) {
    const bytes = streams[stream]
    if (bytes.length > 0) await appendOutput(ledger, claim, { stream, side: 'head', offset: 0, bytes })
  }
  if (goOn) return
  const summary = (bytes: Buffer, omitted = 0) => ({
    bytes: bytes.length + omitted,
    omittedBytes: omitted,
    tail: Buffer.alloc(0),
    sha256: createHash('sha256').update(bytes).digest('hex'),
  })
  const [out, errors] = [summary(streams.stdout, omittedBytes), summary(streams.stderr)]
  const digest = createHash('sha256').update(`${out.sha256}${errors.sha256}${omittedBytes}`).digest('base64url')
  await finishRun(ledger, claim, {
    state: exitCode === 0 ? 'succeeded' : 'failed',
    remote: 'ended',
    reason: exitCode === 0 ? null : 'exit_nonzero',
    detail: null,
    exitCode,
    signal: null,
    isRetryable: false,
    output: { stdout: out, stderr: errors, complete, digest },
    ...end,
  })
}
