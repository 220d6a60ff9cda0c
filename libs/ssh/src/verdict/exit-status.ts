/**
 * How a process on a host ended, in a closed grammar: a status, a named signal, or a signal without a name.
 *
 * A host can say anything here, and its words are stored and shown beside our own, so only what fits is accepted.
 */
import { exitDetail } from '@muster/contract'

/** How it ended. Both null: by a signal without a name, or in a way the host did not report. */
export type Exit = {
  readonly code: number | null
  /** Without "SIG"; matches `^[A-Z0-9]{1,16}$`. */
  readonly signal: string | null
  /** True where a signal ended it and the host gave an invalid name, which was dropped. */
  readonly isNamelessSignal?: true
}

const SIGNAL = /^[A-Z0-9]{1,16}$/
const STATUS = /^(?:0|[1-9][0-9]{0,9})$/
/** An exit status is 32 bits wide. @see RFC 4254, section 6.10 */
const MOST = 0xffff_ffff

/** The name of a signal without "SIG". Undefined for an invalid name. */
export function parseSignal(name: string): string | undefined {
  // ssh2 puts one "SIG" before what the host said, and some hosts say it themselves.
  const bare = name.replace(/^(?:SIG)+/, '')
  return SIGNAL.test(bare) ? bare : undefined
}

/** An exit status from its digits. Undefined for anything else. */
export function parseStatus(digits: string): number | undefined {
  const status = STATUS.test(digits) ? Number(digits) : undefined
  return status !== undefined && status <= MOST ? status : undefined
}

/**
 * The exit that a host reports: its status, else the name of a signal. Undefined where it is neither.
 *
 * A signal with an invalid name still ended the command, and is never a success: OpenSSH itself says
 * "SIG@openssh.com" for every signal that the protocol cannot name. So only the name is dropped, not the end.
 */
export function parseExit(status: unknown, signal: unknown): Exit | undefined {
  if (typeof status === 'number') {
    const code = parseStatus(String(status))
    return code === undefined ? undefined : { code, signal: null }
  }
  if (typeof signal !== 'string') return undefined
  const name = parseSignal(signal)
  return name === undefined ? { code: null, signal: null, isNamelessSignal: true } : { code: null, signal: name }
}

/** Whether a signal ended it, with a name or without. */
export function isSignalled({ signal, isNamelessSignal }: Exit): boolean {
  return signal !== null || isNamelessSignal === true
}

/** The exit in words, such as "exit status 7" or "SIGTERM". */
export function exitWords({ code, signal, isNamelessSignal }: Exit): string {
  if (isNamelessSignal === true) return 'a signal, whose name is not valid and was dropped'
  if (signal !== null) return `SIG${signal}`
  return code === null ? 'no exit status' : exitDetail(code)
}
