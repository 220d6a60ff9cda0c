/**
 * What a follower may say, as a closed grammar. The host chooses these words, and they decide what a run is called: a
 * line that does not fit is neither used nor shown. Reads no stream (stream.ts).
 */
import type { Exit } from '../verdict/exit-status.ts'
import type { StopCause, Stopped } from '../verdict/verdict.ts'
import type { DurableParent } from './run.ts'

/** How a run ended, as its supervisor wrote it down. */
export type DurableResult = {
  readonly word: 'ended'
  readonly exit: Exit
  /** A status that may also have been a signal; then `exit` says neither. */
  readonly unsure: number | undefined
  readonly isWhole: boolean
  /** A stop that the supervisor carried out: by its own clock, or on request. */
  readonly stopped: Stopped | undefined
  /** Whether the command was reached, behind the account's start-up files; undefined: not proven. */
  readonly wasReached: boolean | undefined
}

const WITHOUT_RESULT = ['fenced', 'unclaimed', 'rebooted', 'missing', 'unreadable'] as const

/**
 * How a run ended, as the follower on its host reports it. `fenced`: it has not started and never will; `unclaimed`:
 * the same, and its file system is to blame; `unreadable`: what is there was not written by Muster, or not by this one.
 */
export type DurableReport = DurableResult | { readonly word: (typeof WITHOUT_RESULT)[number] }

/** One line of a follower. */
export type DurableWord =
  | { readonly word: 'begin' }
  /** The host waits for the files of the command. */
  | { readonly word: 'input'; readonly parent: DurableParent }
  /** The host cannot hold the run. */
  | { readonly word: 'refused'; readonly why: string }
  /** The command started this long ago, by its host's clock; its output follows. */
  | { readonly word: 'output'; readonly ageMs: number }
  | { readonly word: 'end'; readonly report: DurableReport }

const CAUSES: readonly StopCause[] = [
  'exec_timeout',
  'idle_timeout',
  'job_timeout',
  'cancelled_by_user',
  'output_limit',
  'fault',
]

const REFUSALS = new Map([
  ['no_proc', 'it has no /proc as Linux has'],
  ...['setsid', 'mkfifo', 'dd', 'head', 'wc'].map((name) => [`no_${name}`, `it has no ${name}`] as const),
  ['no_devfd', 'it has no /dev/fd, which a script is read from'],
  ['base', 'its directory for durable runs (.muster-runs, or below /var/tmp) does not belong to the account alone'],
  ['dir', 'the directory of the run cannot be made'],
  ['unwritable', 'the files of the run cannot be written'],
  ['unsure', 'the home directory of the account, where the run may be, is not there right now'],
])

/** What a line of the follower means. Undefined: the line is not ours. */
export function parseWord(line: string): DurableWord | undefined {
  const [, word, rest = ''] = /^([a-z]+)(?::(.*))?$/s.exec(line) ?? []
  switch (word) {
    case 'begin':
      return { word }
    case 'output':
      return { word, ageMs: /^\d{1,15}$/.test(rest) ? Number(rest) * 10 : 0 }
    case 'input':
      return rest === 'home' || rest === 'tmp' ? { word, parent: rest } : undefined
    case 'refused':
      return { word, why: REFUSALS.get(rest) ?? 'it said that it cannot, but not why' }
    case 'end':
      return { word, report: parseReport(rest) }
    default:
      return undefined
  }
}

const RESULT =
  /^ended (exit|unsure|signal) ([A-Z0-9]{1,16}) (whole|cut) ([a-z_]{1,20}) ([013]) (reached|unreached|unproven)$/

function parseReport(text: string): DurableReport {
  const plain = WITHOUT_RESULT.find((word) => word === text)
  if (plain !== undefined) return { word: plain }
  const [, how, name = '', whole, causeName, kill, reached] = RESULT.exec(text) ?? []
  const status = /^\d{1,3}$/.test(name) && Number(name) <= 255 ? Number(name) : undefined
  const cause = CAUSES.find((known) => known === causeName)
  const isKnown = how === 'signal' || (how !== undefined && status !== undefined)
  if (!isKnown || (cause === undefined && causeName !== 'none')) return { word: 'unreadable' }
  return {
    word: 'ended',
    exit: { code: how === 'exit' ? (status ?? null) : null, signal: how === 'signal' ? name : null },
    unsure: how === 'unsure' ? status : undefined,
    isWhole: whole === 'whole',
    // 3: nothing of its group was left any more when the supervisor looked.
    stopped: cause && { cause, kill: kill === '1' ? 'unconfirmed' : 'ended' },
    wasReached: reached === 'unproven' ? undefined : reached === 'reached',
  }
}
