/** Reads all that some runs have printed, in few round trips. For ended runs whose output is stored whole. */
import { OutputStream } from '@muster/contract'
import { z } from 'zod'
import type { Ledger } from '../redis/open-ledger.ts'
import { readAll } from './read-in-turns.ts'

/** A run, and how much it has printed. */
type WholeRun = { readonly index: number; readonly bytes: { readonly [S in OutputStream]: number } }
/** Both streams. */
export type WholeOutput = { readonly [S in OutputStream]: Buffer }

const Part = z.instanceof(Buffer).nullable()

/**
 * Returns the output of each run, in their order. Undefined for a run of which not every byte is stored.
 * @throws {MusterError} ledger_unavailable
 */
export async function readWholeOutputs(
  ledger: Ledger,
  jobId: string,
  runs: readonly WholeRun[],
): Promise<(WholeOutput | undefined)[]> {
  const { keys } = ledger
  const streams = runs.flatMap(({ index, bytes }, run) =>
    OutputStream.options.map((stream) => {
      const parts: Buffer[] = []
      return { index, run, stream, bytes: bytes[stream], parts }
    }),
  )
  // Few streams are so long that they have a tail.
  for (const keyOf of [keys.head, keys.tail]) {
    const short = streams.filter(({ bytes, parts }) => lengthOf(parts) < bytes)
    const answers = await readAll(
      ledger,
      short.map(({ index, stream }) => ['getBuffer', keyOf(jobId, index, stream)]),
    )
    for (const [i, { parts }] of short.entries()) parts.push(Part.parse(answers[i]) ?? Buffer.alloc(0))
  }
  return runs.map((_, run) => {
    const ofRun = streams.filter((stream) => stream.run === run)
    if (ofRun.some(({ bytes, parts }) => lengthOf(parts) !== bytes)) return undefined
    const [stdout, stderr] = ofRun.map(({ parts }) => Buffer.concat(parts))
    return stdout === undefined || stderr === undefined ? undefined : { stdout, stderr }
  })
}

function lengthOf(parts: readonly Buffer[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0)
}
