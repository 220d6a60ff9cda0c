/**
 * Reading the two streams of a command, both at all times: they share one window, so that one nobody reads blocks
 * the other for good. The head is handed on as it comes, the rest is counted, hashed and held back (output-cap.ts).
 *
 * While the receiver is busy the streams are paused, and the host waits. Does not know how the command ends.
 */
import type { Readable } from 'node:stream'
import type { OutputStream } from '@muster/contract'
import type { ClientChannel } from 'ssh2'
import { OutputCap, type StreamEnd } from './output-cap.ts'

/** Takes the head of a stream. A promise makes the host wait, and has to settle. */
export type OutputReceiver = (stream: OutputStream, bytes: Buffer) => void | Promise<void>

/** What to do with the output. */
export type DrainOptions = {
  /** Kept of each stream. */
  readonly limitBytes: number
  readonly onOutput: OutputReceiver
  /** Told of every piece as it arrives, with the bytes of its stream so far. */
  readonly onBytes: (streamBytes: number) => void
  /** Told when the receiver failed. From then on nothing is handed on. */
  readonly onFault: (error: unknown) => void
  /** What takes the marker out of stderr. */
  readonly marker: { pass(bytes: Buffer): Buffer; rest(): Buffer }
}

/** The output of a command, being read. */
export type Drain = {
  /** Resolves when both streams have ended and the receiver has taken everything. */
  readonly ended: Promise<void>
  /** Bytes of both streams so far. */
  bytes(): number
  /** Whether the host is waiting for the receiver. */
  isPaused(): boolean
  /** Stops reading; resolves when the receiver has taken what it was given. */
  stop(): Promise<void>
  /** The streams as they stand. To be called once, at the end. */
  finish(): { readonly stdout: StreamEnd; readonly stderr: StreamEnd }
}

/** Reads the output of a command to its end. */
export function drainOutput(channel: ClientChannel, options: DrainOptions): Drain {
  const caps = { stdout: new OutputCap(options.limitBytes), stderr: new OutputCap(options.limitBytes) }
  let handed: Promise<void> | undefined
  let isStopped = false
  let isFaulty = false

  const take = (stream: OutputStream, bytes: Buffer) => {
    if (isStopped || bytes.length === 0) return
    const head = caps[stream].push(bytes)
    options.onBytes(caps[stream].bytes)
    if (head.length > 0 && !isFaulty) hand(stream, head)
  }
  const hand = (stream: OutputStream, head: Buffer) => {
    const call = async () => await options.onOutput(stream, head)
    // In order, one at a time: what comes before the streams are really paused waits its turn.
    const taken = (handed ?? Promise.resolve())
      .then(call)
      .catch((error: unknown) => {
        isFaulty = true
        options.onFault(error)
      })
      .then(() => {
        if (handed !== taken) return
        handed = undefined
        channel.resume()
        channel.stderr.resume()
      })
    handed = taken
    channel.pause()
    channel.stderr.pause()
  }
  /** What was held back because it might have been the beginning of the marker. */
  const takeRest = () => {
    if (!isStopped) take('stderr', options.marker.rest())
    isStopped = true
  }

  channel.on('data', (bytes: Buffer) => take('stdout', bytes))
  channel.stderr.on('data', (bytes: Buffer) => take('stderr', options.marker.pass(bytes)))
  const readToEnd = Promise.all([endOf(channel), endOf(channel.stderr)])
  const ended = readToEnd.then(async () => {
    takeRest()
    await handed
  })
  return {
    ended,
    bytes: () => caps.stdout.bytes + caps.stderr.bytes,
    isPaused: () => handed !== undefined,
    stop: async () => {
      takeRest()
      await handed
    },
    finish: () => ({ stdout: caps.stdout.end(), stderr: caps.stderr.end() }),
  }
}

function endOf(stream: Readable): Promise<void> {
  return new Promise((resolve) => {
    stream.once('end', resolve)
  })
}
