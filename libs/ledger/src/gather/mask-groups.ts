/**
 * Joins groups whose output is the same after masking. Reads the output of one host of each group, up to what one call
 * may read. A group whose output is not read whole is never joined, and its hosts are counted.
 */
import { createHash } from 'node:crypto'
import { setImmediate as letOthersRun } from 'node:timers/promises'
import type { OutputMask } from '@muster/contract'
import { readWholeOutputs, type WholeOutput } from '../read/read-whole-output.ts'
import type { Ledger } from '../redis/open-ledger.ts'
import { hostNamedIn, maskText } from '../text/output-masks.ts'
import { joinMasked, type OutcomeGroup } from './output-groups.ts'

/** Longest stream that is masked. */
const STREAM_LIMIT_BYTES = 64 * 1024
/** Most bytes that one call reads, over all groups. */
const READ_LIMIT_BYTES = 32 * 1024 * 1024
/** After masking this many bytes, others get their turn. */
const TURN_BYTES = 64 * 1024
/** Groups read at once. */
const READ_AT_ONCE = 20

/**
 * Returns the groups after masking, and how many hosts could not be compared.
 * @throws {MusterError} ledger_unavailable
 */
export async function maskGroups(
  ledger: Ledger,
  jobId: string,
  groups: readonly OutcomeGroup[],
  masks: ReadonlySet<OutputMask>,
): Promise<{ groups: OutcomeGroup[]; uncomparedHosts: number }> {
  const masked = new Map<OutcomeGroup, string>()
  const readable = withinLimit(groups)
  for (let from = 0; from < readable.length; from += READ_AT_ONCE) {
    const part = readable.slice(from, from + READ_AT_ONCE)
    const outputs = await readWholeOutputs(
      ledger,
      jobId,
      part.map(({ first }) => first),
    )
    let bytes = 0
    for (const [i, group] of part.entries()) {
      const output = outputs[i]
      if (output === undefined) continue
      masked.set(group, digestOf(group, output, masks))
      bytes += output.stdout.length + output.stderr.length
      if (bytes < TURN_BYTES) continue
      await letOthersRun()
      bytes = 0
    }
    await letOthersRun()
  }
  const compared = [...masked.keys()].reduce((sum, { runs }) => sum + runs.length, 0)
  const hosts = groups.reduce((sum, { runs }) => sum + runs.length, 0)
  return { groups: joinMasked(groups, masked), uncomparedHosts: hosts - compared }
}

/** The groups whose output is stored whole and short enough, as many as may be read, the largest first. */
function withinLimit(groups: readonly OutcomeGroup[]): OutcomeGroup[] {
  let left = READ_LIMIT_BYTES
  return [...groups]
    .sort((a, b) => b.runs.length - a.runs.length)
    .filter(({ first: { hasEnded, output_complete, isKept, bytes } }) => {
      const isShort = bytes.stdout <= STREAM_LIMIT_BYTES && bytes.stderr <= STREAM_LIMIT_BYTES
      const isWhole = hasEnded && output_complete && isKept
      if (!isWhole || !isShort || bytes.stdout + bytes.stderr > left) return false
      left -= bytes.stdout + bytes.stderr
      return true
    })
}

/**
 * A digest of both streams after masking. Each byte is one character, so that bytes which are not text stay different.
 */
function digestOf(
  { runs, first }: OutcomeGroup,
  { stdout, stderr }: WholeOutput,
  masks: ReadonlySet<OutputMask>,
): string {
  const texts = [stdout, stderr].map((bytes) => bytes.toString('latin1'))
  // The equal output of several hosts may hold the name of one of them.
  const names = runs.map(({ host }) => host)
  const host = (masks.has('host') ? hostNamedIn(texts.join('\n'), names) : undefined) ?? first.host
  const masked = texts.map((text) => maskText(text, masks, host))
  return createHash('sha256').update(JSON.stringify(masked)).digest('base64url')
}
