/**
 * Separates the output of a command from what comes before it on the same streams:
 *
 *   what start-up files print → hello → what `set -x` prints of our text → start mark → the command's output
 *
 * What start-up files print is output, as with `ssh host command`; everything from the hello to the start mark is
 * dropped. The shell that runs the command writes the start mark to both streams, so it proves that the command was
 * reached. Streams may be merged or dead: a mark counts on whichever stream it arrives. drain.ts reads the streams.
 */
import type { OutputStream } from '@muster/contract'

/** What a start mark says. All of it is chosen by the host. */
export type StartMark = {
  readonly pid: number
  /** Absent when the host has no process that ends the command at its deadline. */
  readonly watchdogPid?: number
  /** When the process began, in ticks since the boot; absent on a host without /proc. */
  readonly began?: string
}

/** A command that has started: its start mark, and whether its process leads a group of its own. */
export type Started = StartMark & { readonly isGroup: boolean }

/** Removes marks from a stream: `pass` returns the output in the next bytes, `rest` what it held back as doubtful. */
export type Markers = { pass(bytes: Buffer): Buffer; rest(): Buffer }

/** Longer lines are not marks. */
const MARK_LIMIT_BYTES = 1_024
/** Stands in for the hello before sudo, where there is none. */
const SUDO = 'sudo'
/** How much is kept of what comes between hello and start mark: it explains why no start mark came. */
const BETWEEN_LIMIT_BYTES = 8_192
const FIELDS = /^(\d{1,10}):(\d{0,10}):(.*)$/

/** Shell words that print the start mark. `fields`: PID, PID of the watchdog, /proc/PID/stat, separated by colons. */
export function startWords(nonce: string, fields: string): string {
  return `echo "start-${nonce}:${fields}:1"; echo "start-${nonce}:${fields}:2" >&2`
}

/** Shell words by which whoever should have read the command says that it did not get it. */
export function neverWords(nonce: string): string {
  return `echo never-${nonce}:0:1; echo never-${nonce}:0:2 >&2`
}

/** How to read the streams of one command. */
export type FindStartOptions = {
  /** Called when the host says that it did not get the command: then it has certainly not started. */
  readonly onNever?: () => void
  /** Whether what comes before the hello is sudo's, and not output. */
  readonly bySudo?: boolean
}

/** Filters of both streams of one command; `onStart` is called once, at the first mark. */
export function findStart(
  nonce: string,
  onStart: (mark: StartMark) => void,
  { onNever = () => {}, bySudo = false }: FindStartOptions = {},
): Record<OutputStream, Markers> {
  const started = new Set<string>()
  const seen = {
    onStart: (fields: string, tag: string) => {
      if (started.size === 0) onStart(readMark(fields))
      started.add(tag)
    },
    onNever,
    isOver: () => started.size === 2,
  }
  return { stdout: new MarkFilter(nonce, seen, bySudo), stderr: new MarkFilter(nonce, seen, bySudo) }
}

function readMark(fields: string): StartMark {
  const [, pid, watchdogPid = '', stat = ''] = FIELDS.exec(fields) ?? []
  // The 22nd field of the line. The program's name may hold anything, so counting begins behind the last bracket.
  const began = /^(?:\S+ ){19}(\d{1,20}) /.exec(stat.slice(stat.lastIndexOf(')') + 2))?.[1]
  return {
    pid: Number(pid),
    ...(watchdogPid !== '' && { watchdogPid: Number(watchdogPid) }),
    ...(began !== undefined && { began }),
  }
}

/** What both streams of one command share. */
type Seen = {
  onStart(fields: string, tag: string): void
  onNever(): void
  /** Whether no more marks can come. */
  isOver(): boolean
}

class MarkFilter implements Markers {
  readonly #nonce: string
  readonly #seen: Seen
  /** The hellos on this stream whose start mark has not come; merged streams have two. */
  readonly #greeted = new Set<string>()
  #between: Buffer = Buffer.alloc(0)
  #held: Buffer = Buffer.alloc(0)

  constructor(nonce: string, seen: Seen, bySudo: boolean) {
    this.#nonce = nonce
    this.#seen = seen
    if (bySudo) this.#greeted.add(SUDO)
  }

  pass(bytes: Buffer): Buffer {
    if (this.#seen.isOver() && this.#held.length === 0 && this.#greeted.size === 0) return bytes
    let text = Buffer.concat([this.#held, bytes])
    const output: Buffer[] = []
    const take = (piece: Buffer) => {
      if (this.#greeted.size === 0) return void output.push(piece)
      this.#between = Buffer.concat([this.#between, piece]).subarray(-BETWEEN_LIMIT_BYTES)
    }
    for (let found = this.#findMark(text); found !== undefined; found = this.#findMark(text)) {
      take(text.subarray(0, found.from))
      text = text.subarray(found.until)
      this.#greeted.delete(SUDO)
      if (found.kind === 'hello') this.#greeted.add(found.tag)
      else if (found.kind === 'never') this.#seen.onNever()
      else {
        this.#greeted.delete(found.tag)
        this.#between = Buffer.alloc(0)
        this.#seen.onStart(found.fields, found.tag)
      }
    }
    const until = this.#seen.isOver() ? text.length : text.length - doubtfulBytes(text, this.#nonce)
    take(text.subarray(0, until))
    this.#held = text.subarray(until)
    return Buffer.concat(output)
  }

  /** What was held back; where no start mark came, also everything since the hello. */
  rest(): Buffer {
    const rest = Buffer.concat([this.#between, this.#held])
    this.#between = Buffer.alloc(0)
    this.#held = Buffer.alloc(0)
    return rest
  }

  #findMark(text: Buffer) {
    for (let at = text.indexOf(this.#nonce); at !== -1; at = text.indexOf(this.#nonce, at + 1)) {
      const before = /(hello|start|never)-$/.exec(text.toString('latin1', Math.max(0, at - 6), at))
      const lineEnd = text.indexOf('\n', at)
      if (before?.[1] === undefined || lineEnd === -1 || lineEnd - at > MARK_LIMIT_BYTES) continue
      const line = text.toString('latin1', at + this.#nonce.length + 1, lineEnd).trimEnd()
      const [, fields, tag] = /^(\d.*):([12])$/.exec(line) ?? []
      if (fields === undefined || tag === undefined) continue
      return { kind: before[1], fields, tag, from: at - before[0].length, until: lineEnd + 1 }
    }
    return undefined
  }
}

/** How many of the last bytes may be the beginning of a mark. Only these are held back. */
function doubtfulBytes(text: Buffer, nonce: string): number {
  const tail = text.subarray(-MARK_LIMIT_BYTES)
  let doubtful = 0
  for (const word of [`hello-${nonce}:`, `start-${nonce}:`, `never-${nonce}:`]) {
    const mark = Buffer.from(word)
    const whole = tail.lastIndexOf(mark)
    // A line that begins as a mark and has not ended.
    if (whole !== -1 && tail.indexOf('\n', whole) === -1) doubtful = Math.max(doubtful, tail.length - whole)
    for (let count = Math.min(mark.length - 1, tail.length); count > doubtful; count -= 1) {
      if (tail.subarray(tail.length - count).equals(mark.subarray(0, count))) doubtful = count
    }
  }
  return doubtful
}
