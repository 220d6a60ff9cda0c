/**
 * Groups runs that went wrong by cause. Two sentences have the same cause when they differ only in names, addresses,
 * paths and numbers. Each cause is told in the words of one of its hosts. Pure.
 */
import type { Run } from '@muster/contract'
import { maskText } from '../text/output-masks.ts'

/** A run, and what is said about it in words. */
export type Told = Pick<Run, 'host' | 'detail'>

/** Runs with one cause, in the order in which they came, and that cause in words. Null when nothing is said. */
export type Cause<T> = { readonly runs: readonly T[]; readonly detail: string | null }

/** Most causes that are told apart among runs with one reason. The other runs are told together. */
const CAUSES_LIMIT = 5

/** Replaces what differs from host to host. */
const MARK = '‹›'
const MASKS = new Set(['host', 'address', 'time', 'pid', 'number'] as const)
/** A log-in, such as `deploy@10.0.0.7:22`. */
const LOGIN = /[^\s(]+@[^\s)]+/g
const PATH = /(?<![\w‹])(?:~|\.{1,2})?\/[^\s:;,"')]+/g
const FINGERPRINT = /\bSHA256:[\w+/]+/g
const DOMAIN_NAME = /(?<![\w.-])[a-z\d][\w-]*(?:\.[\w-]+)+(?![\w-])/gi
/** A sentence may end in a long text from a host; what tells causes apart stands before that. */
const COMPARED_CHARS = 400

/** The cause of a run, equal for runs with the same cause. "" when nothing is said about the run. */
export function causeOf({ host, detail }: Told): string {
  if (detail === null) return ''
  const text = detail.slice(0, COMPARED_CHARS)
  const nameless = text.replace(LOGIN, MARK).replace(FINGERPRINT, MARK).replace(PATH, MARK)
  return maskText(nameless, MASKS, host).replace(DOMAIN_NAME, MARK).replace(/‹\w+›/g, MARK)
}

/** Groups runs with the same reason by cause, the cause of most runs first. */
export function byCause<T extends Told>(runs: readonly T[]): Cause<T>[] {
  const causes = new Map<string, T[]>()
  const known = new Map<string, string>()
  for (const run of runs) {
    // Most sentences differ only in the host name and in digits, and there may be ten thousand of them.
    const form = run.detail?.replaceAll(run.host, '').replace(/[\d.:]+/g, '') ?? ''
    const cause = known.get(form) ?? causeOf(run)
    known.set(form, cause)
    const alike = causes.get(cause)
    if (alike === undefined) causes.set(cause, [run])
    else alike.push(run)
  }
  const ordered = [...causes.values()].sort((a, b) => b.length - a.length)
  const told = ordered.slice(0, CAUSES_LIMIT).map((alike) => ({ runs: alike, detail: wordsOf(alike) }))
  const left = ordered.slice(CAUSES_LIMIT)
  if (left.length === 0) return told
  const isLeft = new Set(left.flat())
  const rest = runs.filter((run) => isLeft.has(run))
  const words = wordsOf(rest)
  return [...told, { runs: rest, detail: left.length === 1 ? words : `${left.length} different causes; ${words}` }]
}

/** The sentence that all runs share; else the sentence of the first run, with its name. */
function wordsOf(runs: readonly Told[]): string | null {
  const [first] = runs
  if (first === undefined || first.detail === null) return null
  const isSelfTold = first.detail.startsWith(`${first.host} (`) || runs.every(({ detail }) => detail === first.detail)
  return isSelfTold ? first.detail : `${first.host}, for example: ${first.detail}`
}
