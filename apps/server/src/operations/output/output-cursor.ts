/**
 * Cursors: where to continue reading the output of a host, as a short word. It holds the stream, the byte, and when the
 * attempt started, so that a command that was started again is noticed. It ends with a checksum, so that a word that no
 * answer gave out, or one of another host, is refused.
 */
import { createHash } from 'node:crypto'
import { MusterError, OutputStream } from '@muster/contract'

/** The run whose output is read. */
export type ReadRun = { readonly jobId: string; readonly host: string }

/** A position in the output of a run. */
export type OutputPosition = {
  readonly stream: OutputStream
  readonly offset: number
  /** When the command that wrote it started, in ms since 1970; 0 if none had. */
  readonly startedMs: number
}

/** The cursor for a position. */
export function writeOutputCursor(run: ReadRun, { stream, offset, startedMs }: OutputPosition): string {
  const position = `${stream}.${offset}.${startedMs.toString(36)}`
  return `${position}.${checkOf(run, position)}`
}

/**
 * The position that a cursor stands for.
 * @throws {MusterError} invalid_request for one that was not given out for this run
 */
export function readOutputCursor(run: ReadRun, cursor: string): OutputPosition {
  const [, position = '', stream, offset, started = '', check] =
    /^((stdout|stderr)\.(\d{1,15})\.([0-9a-z]{1,9}))\.([0-9a-f]{6})$/.exec(cursor) ?? []
  if (check === undefined || check !== checkOf(run, position)) {
    const message = `cursor: "${cursor}" was not given out for the output of host "${run.host}" of job ${run.jobId}`
    throw new MusterError('invalid_request', message, { details: { field: 'cursor', job_id: run.jobId } })
  }
  return { stream: OutputStream.parse(stream), offset: Number(offset), startedMs: Number.parseInt(started, 36) }
}

/** Guards against mistakes, not against forgery: a caller who may read the run may read all of it anyway. */
function checkOf({ jobId, host }: ReadRun, position: string): string {
  return createHash('sha256')
    .update(JSON.stringify([jobId, host, position]))
    .digest('hex')
    .slice(0, 6)
}
