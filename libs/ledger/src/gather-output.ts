/**
 * The output of a whole job, folded: hosts that ended alike with the same output are one group. Groups are told apart
 * by the digest that the worker made of all output, so only one host of each group is read.
 */
import { foldHosts, type GatheredOutput, JobState, type OutputGroup } from '@muster/contract'
import type { Ledger } from './open-ledger.ts'
import { groupByState } from './read-job.ts'
import { readBeginning } from './read-output.ts'
import { type RunWithDigest, readRuns } from './read-run.ts'
import { readStoredJob, type StoredJob } from './stored-job.ts'

/** Runs read in one round trip; between two, other requests get their turn. */
const CHUNK = 500
/** Most groups in one answer. Ten thousand different outputs are no overview: read them run by run. */
const GROUPS_LIMIT = 100
/** Most bytes of output in one answer, over all groups. */
const ANSWER_LIMIT_BYTES = 4 * 1024 * 1024

/**
 * Every host of the job, in a group with its output or among those without. Undefined when there is no such job.
 * @throws {MusterError} ledger_unavailable
 */
export async function gatherOutput(
  ledger: Ledger,
  jobId: string,
  options: { limitBytes: number },
): Promise<GatheredOutput | undefined> {
  const job = await readStoredJob(ledger, jobId)
  if (job === undefined) return undefined
  const groups = new Map<string, RunWithDigest[]>()
  const without: RunWithDigest[] = []
  for await (const run of allRuns(ledger, jobId, job)) {
    const hasPrinted = run.stdout.bytes + run.stderr.bytes > 0
    // A command that ended belongs to a group even when it printed nothing; sudo that refused is no command.
    if (run.remote === 'not_started' ? !hasPrinted : run.remote !== 'ended' && !hasPrinted) {
      without.push(run)
      continue
    }
    // Without a digest nobody has seen all of the output: such a run is told by itself.
    const output = run.digest === '' ? run.index : run.digest
    const key = JSON.stringify([run.state, run.reason, run.exit_code, run.signal, output, run.output_complete])
    const group = groups.get(key) ?? []
    group.push(run)
    groups.set(key, group)
  }
  const sorted = [...groups.values()].sort((a, b) => b.length - a.length)
  const shown = sorted.slice(0, GROUPS_LIMIT)
  const limitBytes = Math.min(options.limitBytes, Math.floor(ANSWER_LIMIT_BYTES / (2 * Math.max(1, shown.length))))
  const omitted = sorted.slice(GROUPS_LIMIT)
  return {
    job_id: jobId,
    state: JobState.parse(job.state),
    total: job.total,
    groups: await Promise.all(shown.map((runs) => toGroup(ledger, jobId, runs, limitBytes))),
    without_output: groupByState(without),
    omitted_groups: omitted.length,
    omitted_hosts: omitted.reduce((sum, runs) => sum + runs.length, 0),
  }
}

async function* allRuns(ledger: Ledger, jobId: string, job: StoredJob): AsyncGenerator<RunWithDigest> {
  for (let start = 0; start < job.total; start += CHUNK) {
    const indexes = Array.from({ length: Math.min(CHUNK, job.total - start) }, (_, i) => start + i)
    yield* await readRuns(ledger, jobId, job, indexes)
  }
}

async function toGroup(
  ledger: Ledger,
  jobId: string,
  runs: readonly RunWithDigest[],
  limitBytes: number,
): Promise<OutputGroup> {
  const [first] = runs
  if (first === undefined) throw new Error('a group has at least one run')
  const read = (stream: 'stdout' | 'stderr') => readBeginning(ledger, jobId, first.index, stream, limitBytes)
  const [stdout, stderr] = await Promise.all([read('stdout'), read('stderr')])
  return {
    hosts: foldHosts(runs.map((run) => run.host)),
    count: runs.length,
    state: first.state,
    reason: first.reason,
    exit_code: first.exit_code,
    signal: first.signal,
    stdout: stdout.text,
    stderr: stderr.text,
    stdout_bytes: first.stdout.bytes,
    stderr_bytes: first.stderr.bytes,
    truncated: !stdout.isAll || !stderr.isAll,
    output_complete: first.output_complete,
  }
}
