/**
 * Reads both streams of a command at all times: they share one window, so a stream that nobody reads blocks the other
 * for good. The head is handed on as it comes; the rest is counted, hashed and held back (output-cap.ts).
 *
 * While the receiver is busy the streams are paused, and the host waits. Does not know how the command ends.
 */
import type { Readable } from 'node:stream'
import type { OutputStream } from '@muster/contract'
import type { ClientChannel } from 'ssh2'
import type { OutputCap, StreamEnd, StreamTail } from './output-cap.ts'
import type { Markers } from './start-marks.ts'

/** Takes the head of a stream. A promise makes the host wait until it settles, which it must. */
export type OutputReceiver = (stream: OutputStream, bytes: Buffer) => void | Promise<void>

/** What to do with the output. */
export type DrainOptions = {
  /** Counts and keeps each stream. */
  readonly caps: Readonly<Record<OutputStream, OutputCap>>
  readonly onOutput: OutputReceiver
  /** Called for every piece as it arrives, with the bytes of its stream so far. */
  readonly onBytes: (streamBytes: number) => void
  /** Called when the receiver failed. From then on nothing is handed on. */
  readonly onFault: (error: unknown) => void
  /** Separates the output from everything else. */
  readonly split: Splitter
  /** What was already read of each stream. */
  readonly heard: Readonly<Record<OutputStream, Buffer>>
}

/**
 * Separates the output of a command from everything else in its channel. `pass` takes the next bytes of a stream of the
 * channel and returns the output among them, by stream of the command; `rest` returns what was held back as doubtful.
 */
export type Splitter = {
  pass(from: OutputStream, bytes: Buffer): readonly Piece[]
  rest(): readonly Piece[]
}

/** Some bytes of a command's stream. */
export type Piece = readonly [OutputStream, Buffer]

/** The splitter for channels whose streams are those of the command, with marks in them. */
export function byStream(marks: Readonly<Record<OutputStream, Markers>>): Splitter {
  return {
    pass: (from, bytes) => [[from, marks[from].pass(bytes)]],
    rest: () => [
      ['stdout', marks.stdout.rest()],
      ['stderr', marks.stderr.rest()],
    ],
  }
}

/** The output of a command, being read. */
export type Drain = {
  /** Resolves when both streams have ended and the receiver has taken everything. */
  readonly ended: Promise<void>
  /** Bytes of both streams so far. */
  bytes(): number
  /** Whether the host is waiting for the receiver. */
  isPaused(): boolean
  /** How long nothing has come, in milliseconds; 0 while the host waits for us. */
  quietMs(): number
  /** Stops reading. Resolves when the receiver has taken what it was given. */
  stop(): Promise<void>
  /** The end of a stream as it is now. Undefined while all of it was handed on. */
  tailOf(stream: OutputStream): StreamTail | undefined
  /** Both streams as they stand. Call it once, at the end. */
  finish(): { readonly stdout: StreamEnd; readonly stderr: StreamEnd }
}

/** Reads the output of a command to its end. */
export function drainOutput(channel: ClientChannel, options: DrainOptions): Drain {
  const { caps, split, heard } = options
  let handed: Promise<void> | undefined
  let isStopped = false
  let isFaulty = false
  let heardMs = performance.now()

  const take = (stream: OutputStream, bytes: Buffer) => {
    if (isStopped || bytes.length === 0) return
    const head = caps[stream].push(bytes)
    options.onBytes(caps[stream].bytes)
    if (head.length > 0 && !isFaulty) hand(stream, head)
  }
  const hand = (stream: OutputStream, head: Buffer) => {
    const call = async () => await options.onOutput(stream, head)
    // In order, one at a time: pieces that arrive before the streams are really paused wait.
    const taken = (handed ?? Promise.resolve())
      .then(call)
      .catch((error: unknown) => {
        isFaulty = true
        options.onFault(error)
      })
      .then(() => {
        if (handed !== taken) return
        handed = undefined
        heardMs = performance.now()
        channel.resume()
        channel.stderr.resume()
      })
    handed = taken
    channel.pause()
    channel.stderr.pause()
  }
  /** Takes what was held back because it might have been the beginning of a mark. */
  const takeRest = () => {
    if (!isStopped) for (const [stream, bytes] of split.rest()) take(stream, bytes)
    isStopped = true
  }

  const read = (from: OutputStream) => (bytes: Buffer) => {
    heardMs = performance.now()
    for (const [stream, piece] of split.pass(from, bytes)) take(stream, piece)
  }
  read('stdout')(heard.stdout)
  read('stderr')(heard.stderr)
  channel.on('data', read('stdout'))
  channel.stderr.on('data', read('stderr'))
  // They have been paused since the hello.
  if (handed === undefined) channel.resume()
  if (handed === undefined) channel.stderr.resume()
  const readToEnd = Promise.all([endOf(channel), endOf(channel.stderr)])
  const ended = readToEnd.then(async () => {
    takeRest()
    await handed
  })
  return {
    ended,
    bytes: () => caps.stdout.bytes + caps.stderr.bytes,
    isPaused: () => handed !== undefined,
    quietMs: () => (handed === undefined ? performance.now() - heardMs : 0),
    stop: async () => {
      takeRest()
      await handed
    },
    tailOf: (stream) => caps[stream].tail(),
    finish: () => ({ stdout: caps.stdout.end(), stderr: caps.stderr.end() }),
  }
}

function endOf(stream: Readable): Promise<void> {
  return new Promise((resolve) => {
    stream.once('end', resolve)
  })
}
