/** Reading output: a page of one host, all hosts folded, either as data or as text for AI agents. */
import { randomBytes } from 'node:crypto'
import {
  type GatheredOutput,
  type HostsByState,
  type Input,
  type OutputGroup,
  type OutputPage,
  PAGE_LIMIT_BYTES,
} from '@muster/contract'
import { gatherOutput, readOutput } from '@muster/ledger'
import { writeGathered } from './gathered-text.ts'
import { noSuchJob } from './jobs.ts'
import type { OperationDeps } from './operations.ts'
import { writePage } from './output-text.ts'
import { noSuchRun } from './runs.ts'

/**
 * A page of what a host printed.
 * @throws {MusterError} not_found
 */
export async function readPage(deps: OperationDeps, input: Input<'read_output'>): Promise<OutputPage> {
  const { job_id: jobId, host, stream, offset, limit_bytes: limitBytes, encoding } = input
  const page = await readOutput(deps.ledger, jobId, host, { stream, offset, limitBytes, encoding })
  if (page === undefined) throw await noSuchRun(deps, jobId, host)
  return page
}

/**
 * The output of all hosts, folded.
 * @throws {MusterError} not_found
 */
export async function gatherAll(deps: OperationDeps, input: Input<'gather_output'>): Promise<GatheredOutput> {
  const gathered = await gatherOutput(deps.ledger, input.job_id, {
    limitBytes: input.limit_bytes,
    masks: input.mask,
    withDiff: input.diff,
  })
  if (gathered === undefined) throw noSuchJob(input.job_id)
  return gathered
}

/**
 * Output as text, at most `max_chars` long, with control characters escaped.
 * @throws {MusterError} not_found
 */
export async function getOutput(deps: OperationDeps, input: Input<'get_output'>): Promise<string> {
  const { job_id, host, stream, offset, mask, diff, max_chars: maxChars } = input
  // The output cannot know this word, so it cannot pretend to have ended.
  const fence = randomBytes(4).toString('hex')
  if (host === undefined) {
    const gathered = await gatherAll(deps, { job_id, limit_bytes: Math.min(maxChars, PAGE_LIMIT_BYTES), mask, diff })
    return writeGathered(gathered, { maxChars, fence })
  }
  // Exact bytes, because the offset to go on from must be right whatever the text was cut down to.
  const page = await readPage(deps, { job_id, host, stream, offset, limit_bytes: maxChars, encoding: 'base64' })
  return writePage(page, { maxChars, fence })
}

/**
 * The same output with at most `limitChars` characters of stdout and stderr in all. Groups that no longer fit are
 * counted as omitted; the first group is always there, cut if need be.
 */
export function withinLimit(gathered: GatheredOutput, limitChars: number): GatheredOutput {
  let left = limitChars
  const groups: GatheredOutput['groups'] = []
  for (const group of gathered.groups) {
    if (left <= 0) break
    const stdout = group.stdout.slice(0, left)
    const stderr = group.stderr.slice(0, left - stdout.length)
    const isCut = stdout.length < group.stdout.length || stderr.length < group.stderr.length
    left -= stdout.length + stderr.length
    groups.push({ ...group, stdout, stderr, truncated: group.truncated || isCut })
  }
  const omitted = gathered.groups.slice(groups.length)
  return {
    ...gathered,
    groups,
    omitted_groups: gathered.omitted_groups + omitted.length,
    omitted_hosts: gathered.omitted_hosts + omitted.reduce((sum, group) => sum + group.count, 0),
    omitted: [...gathered.omitted, ...omitted.map(byState)],
  }
}

function byState({ state, reason, exit_code, hosts, count }: OutputGroup): HostsByState {
  return { state, reason, exit_code, detail: null, hosts, count }
}
