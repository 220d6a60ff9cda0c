/**
 * Gathers the output of a whole job: hosts that ended alike with the same output are one group. Reads the output of one
 * host of each group. output-groups.ts makes the groups.
 */
import { setImmediate as letOthersRun } from 'node:timers/promises'
import { foldHosts, type GatheredOutput, type OutputGroup, type OutputMask } from '@muster/contract'
import { readStoredJob } from '../job/stored-job.ts'
import { collectEnds, stateByRuns } from '../read/ended-job.ts'
import { collectByState } from '../read/group-by-state.ts'
import { type Outcome, readOutcomes } from '../read/read-outcomes.ts'
import { readBeginning } from '../read/read-output.ts'
import type { Ledger } from '../redis/open-ledger.ts'
import { COMPARED_BYTES, type ComparedOutput, diffOutputs } from '../text/output-diff.ts'
import { maskText } from '../text/output-masks.ts'
import { maskGroups } from './mask-groups.ts'
import { collectGroups, hasOutput, inOrder, isSameOutput, type OutcomeGroup, referenceOf } from './output-groups.ts'

/** Most bytes of output in one answer, over all groups. */
const ANSWER_LIMIT_BYTES = 4 * 1024 * 1024

/**
 * Returns every host of the job: in a group with its output, among the hosts without output, or among those left out.
 * Undefined when there is no such job.
 * @throws {MusterError} ledger_unavailable
 */
export async function gatherOutput(
  ledger: Ledger,
  jobId: string,
  options: { limitBytes: number; masks: readonly OutputMask[]; withDiff: boolean; groupsLimit: number },
): Promise<GatheredOutput | undefined> {
  const job = await readStoredJob(ledger, jobId)
  if (job === undefined) return undefined
  const masks = new Set(options.masks)
  const printed = collectGroups()
  const without = collectByState()
  const ends = collectEnds()
  for await (const run of readOutcomes(ledger, jobId, job)) {
    ends.add(run)
    if (hasOutput(run)) printed.add(run)
    else without.add(run)
  }
  const exact = printed.groups()
  await letOthersRun()
  const { groups, uncomparedHosts } =
    masks.size === 0 ? { groups: exact, uncomparedHosts: 0 } : await maskGroups(ledger, jobId, exact, masks)
  await letOthersRun()
  const ordered = inOrder(groups)
  const reference = referenceOf(ordered)
  const { shown, omitted } = chosen(ordered, reference, options.groupsLimit)
  const limitBytes = Math.min(options.limitBytes, Math.floor(ANSWER_LIMIT_BYTES / (2 * Math.max(1, shown.length))))
  const told = await Promise.all(shown.map((group) => toGroup(ledger, jobId, group, limitBytes)))
  const diffs = options.withDiff ? await diffsOf(ledger, jobId, { shown, reference, masks }) : []
  const left = collectByState()
  for (const { runs } of omitted) for (const run of runs) left.add(run)
  await letOthersRun()
  return {
    job_id: jobId,
    state: await stateByRuns(ledger, job, ends.ended()),
    total: job.total,
    groups: told.map((group, i) => ({ ...group, is_reference: shown[i] === reference, diff: diffs[i] ?? null })),
    without_output: without.rows(),
    omitted_groups: omitted.length,
    omitted_hosts: omitted.reduce((sum, { runs }) => sum + runs.length, 0),
    omitted: left.rows(),
    uncompared_hosts: uncomparedHosts,
  }
}

/**
 * The first groups, and in any case the reference. Half of the room is for groups that went wrong, even if they are
 * small ones among many, because callers look for those.
 */
function chosen(ordered: readonly OutcomeGroup[], reference: OutcomeGroup | undefined, limit: number) {
  const wrong = ordered.filter(({ first }) => first.hasEnded && first.state !== 'succeeded')
  const wanted = [...(reference === undefined ? [] : [reference]), ...wrong.slice(0, limit / 2), ...ordered]
  const isShown = new Set([...new Set(wanted)].slice(0, limit))
  return {
    shown: ordered.filter((group) => isShown.has(group)),
    omitted: ordered.filter((group) => !isShown.has(group)),
  }
}

async function toGroup(
  ledger: Ledger,
  jobId: string,
  { first, runs, distinct }: OutcomeGroup,
  limitBytes: number,
): Promise<Omit<OutputGroup, 'is_reference' | 'diff'>> {
  const { stdout, stderr } = await readBeginnings(ledger, jobId, first, limitBytes)
  return {
    hosts: foldHosts(runs.map((run) => run.host)),
    count: runs.length,
    state: first.state,
    reason: first.reason,
    exit_code: first.exit_code,
    signal: first.signal,
    detail: runs.every(({ detail }) => detail === first.detail) ? first.detail : null,
    distinct_outputs: distinct,
    stdout: stdout.text,
    stderr: stderr.text,
    stdout_bytes: first.bytes.stdout,
    stderr_bytes: first.bytes.stderr,
    truncated: !stdout.isAll || !stderr.isAll,
    output_complete: first.output_complete,
  }
}

/** The diff of each group in order; null for the reference and for groups whose commands go on. */
async function diffsOf(
  ledger: Ledger,
  jobId: string,
  of: { shown: readonly OutcomeGroup[]; reference: OutcomeGroup | undefined; masks: ReadonlySet<OutputMask> },
): Promise<(string | null)[]> {
  const { shown, reference, masks } = of
  const read = async ({ first }: OutcomeGroup): Promise<ComparedOutput> => {
    const { stdout, stderr } = await readBeginnings(ledger, jobId, first, COMPARED_BYTES)
    const masked = (text: string) => maskText(text, masks, first.host)
    return {
      stdout: { ...stdout, text: masked(stdout.text) },
      stderr: { ...stderr, text: masked(stderr.text) },
    }
  }
  if (reference === undefined) return []
  const compared = await read(reference)
  const diffs: (string | null)[] = []
  for (const group of shown) {
    if (group === reference || !group.first.hasEnded) {
      diffs.push(null)
      continue
    }
    const diff = diffOutputs(compared, await read(group))
    // Bytes that are not text all look alike in a diff.
    const isHidden = diff === '' && masks.size === 0 && !isSameOutput(group.first, reference.first)
    diffs.push(isHidden ? '\\ They differ in bytes that are not text.\n' : diff)
  }
  return diffs
}

async function readBeginnings(ledger: Ledger, jobId: string, { index, bytes }: Outcome, limitBytes: number) {
  const read = async (stream: 'stdout' | 'stderr') =>
    bytes[stream] === 0 ? { text: '', isAll: true } : await readBeginning(ledger, jobId, index, stream, limitBytes)
  const [stdout, stderr] = await Promise.all([read('stdout'), read('stderr')])
  return { stdout, stderr }
}
