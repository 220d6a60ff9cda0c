/** Reads output: a page of one host, or all hosts folded; as data or as text for AI agents. */
import { type GatheredOutput, type Input, type OutputPage, PAGE_LIMIT_BYTES } from '@muster/contract'
import { gatherOutput, type Ledger, readOutput } from '@muster/ledger'
import { newFrame } from '../../text/frame.ts'
import { noSuchJob, noSuchRun } from '../call/not-found.ts'
import type { Caller } from '../call/operation.ts'
import { writeGathered } from './gathered-text.ts'
import { readHostOutput } from './read-host-output.ts'
import { searchGroups, searchHost } from './search-output.ts'

/**
 * Returns a page of what a host printed.
 * @throws {MusterError} not_found
 */
export async function readPage(ledger: Ledger, input: Input<'read_output'>): Promise<OutputPage> {
  const { job_id: jobId, host, stream, offset, limit_bytes: limitBytes, encoding } = input
  const page = await readOutput(ledger, jobId, host, { stream, offset, limitBytes, encoding })
  if (page === undefined) throw await noSuchRun(ledger, jobId, host)
  return page
}

/**
 * Returns the output of all hosts, folded.
 * @throws {MusterError} not_found
 */
export async function gatherAll(ledger: Ledger, input: Input<'gather_output'>): Promise<GatheredOutput> {
  const gathered = await gatherOutput(ledger, input.job_id, {
    limitBytes: input.limit_bytes,
    masks: input.mask,
    withDiff: input.diff,
    groupsLimit: input.groups_limit,
  })
  if (gathered === undefined) throw noSuchJob(input.job_id)
  return gathered
}

/**
 * Returns output as text, at most `max_chars` long, with control characters escaped.
 * @throws {MusterError} not_found; invalid_request for a bad pattern or cursor
 */
export async function getOutput(
  ledger: Ledger,
  input: Input<'get_output'>,
  caller: Pick<Caller, 'signal'>,
): Promise<string> {
  const { job_id, host, stream, grep, mask, diff, max_chars: maxChars } = input
  const limits = { maxChars, frame: newFrame() }
  if (host !== undefined) {
    if (grep !== undefined) return searchHost(ledger, { ...input, host, grep }, caller, limits)
    return readHostOutput(ledger, { ...input, host }, limits)
  }
  if (grep !== undefined) return searchGroups(ledger, { job_id, grep, stream }, caller, limits)
  const gathered = await gatherAll(ledger, {
    job_id,
    limit_bytes: Math.min(maxChars, PAGE_LIMIT_BYTES),
    mask,
    diff,
    groups_limit: 100,
  })
  return writeGathered(gathered, limits)
}
