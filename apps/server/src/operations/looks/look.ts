/**
 * Looks at hosts: submits a small job that only reads, and waits for it within the call. The answer says which hosts
 * have answered, which have not, and what went wrong. It names the call that brings the rest: the same call with the
 * same key, which finds the same job, so nothing runs twice.
 *
 * Each caller reads what its job prints.
 */
import { randomBytes } from 'node:crypto'
import {
  escapeLine,
  foldHosts,
  type Input,
  loginSecretsIn,
  MusterError,
  type NextCall,
  Submit,
  type ToolName,
  UNLESS_FORCED,
  withoutLoginSecrets,
} from '@muster/contract'
import { type OutcomeGroup, readRunGroups } from '@muster/ledger'
import { clip } from '../../text/clip.ts'
import type { Caller, OperationDeps } from '../call/operation.ts'
import { submitOurs } from '../jobs/submit.ts'

/** Limits of a look. They are tight because the caller is waiting, and nobody waits for one that starts later. */
const LIMITS = { connect_timeout_s: 10, retries: 1, start_deadline_s: 300 } as const

/** Longest list of host names, in characters. */
const NAMES_CHARS = 400
/** Longest target expression in a next call, in characters. */
const EXPRESSION_CHARS = 1_000

/** A title has at most 80 characters. */
const TITLE_PATH_CHARS = 60

/** What a look runs. */
export type LookJob = {
  readonly title: string
  readonly argv: readonly string[]
  readonly execTimeoutS: number
  /** Whether the look finds out if hosts can be reached: then it runs even where a breaker is open. */
  readonly isTest?: boolean
}

/** What to run, and the input of the call that asked for it. */
export type Look = LookJob & {
  readonly tool: ToolName
  readonly input: Pick<Input<'test_connection'>, 'targets' | 'connect' | 'wait_s' | 'idempotency_key'>
}

/** What a look has found so far. */
export type Looked = {
  readonly look: Look
  readonly jobId: string
  /** A call with this idempotency key finds the same job. */
  readonly key: string
  readonly total: number
  readonly notEnded: number
  /** Hosts where the job succeeded, grouped by what they printed. */
  readonly groups: readonly OutcomeGroup[]
  /** All other hosts. */
  readonly others: readonly OutcomeGroup[]
}

/**
 * Runs the look, or finds the one that began with the same key, and waits for it.
 * @throws {MusterError} invalid_target, unknown_target, no_targets, key_limit, rate_limited, idempotency_conflict,
 *   ledger_unavailable
 */
export async function lookAtHosts(deps: OperationDeps, look: Look, caller: Caller): Promise<Looked> {
  const { targets, connect, wait_s, idempotency_key } = look.input
  const key = idempotency_key ?? `look-${randomBytes(12).toString('base64url')}`
  const jobId = await submitLook(deps, look, caller, {
    targets,
    ...(connect && { connect }),
    // Makes messages of programs and the order of names the same everywhere.
    env: { LC_ALL: 'C' },
    idempotency_key: key,
    wait_s,
  })
  const job = await readRunGroups(deps.ledger, jobId)
  if (job === undefined) throw new MusterError('not_found', `there is no job ${jobId} any more`)
  const all = [...job.groups, ...job.without.map((run) => ({ first: run, runs: [run], distinct: 1 }))]
  const isAnswer = ({ first }: OutcomeGroup) => first.state === 'succeeded' && first.output_complete
  return {
    look,
    jobId,
    key,
    total: job.total,
    notEnded: all.reduce((sum, { first, runs }) => sum + (first.hasEnded ? 0 : runs.length), 0),
    groups: all.filter(isAnswer),
    others: all.filter((group) => !isAnswer(group)),
  }
}

/** Submits the job of a look, which only reads, and returns its ID. `more` are other fields of a submit. */
export async function submitLook(
  deps: OperationDeps,
  { argv, title, execTimeoutS, isTest = false }: LookJob,
  caller: Caller,
  more: Readonly<Record<string, unknown>> & { readonly targets: string },
): Promise<string> {
  const request = Submit.parse({ ...LIMITS, argv, title, read_only: true, exec_timeout_s: execTimeoutS, ...more })
  return (await submitOurs(deps, request, caller, { isTest })).job_id
}

/** The counts at the beginning of every answer. */
export function countsOf({ jobId, total, notEnded, groups }: Looked) {
  const answered = groups.reduce((sum, { runs }) => sum + runs.length, 0)
  return { job_id: jobId, hosts: total, answered, not_ended: notEnded }
}

/** The detail of a run, without the advice to force it: looks take no `force`. */
export function unforced(detail: string | null): string | null {
  return detail?.replace(` ${UNLESS_FORCED.asField}`, '') ?? null
}

/** The title of a look at a path, with as much of the path as fits. */
export function titleOf(what: string, path: string): string {
  return `${what} ${clip(escapeLine(path), TITLE_PATH_CHARS)}`
}

/** The next call: the one that waits for hosts that have not answered yet, else the one that `otherwise` gives. */
export function nextOf(looked: Looked, otherwise?: () => NextCall | undefined): { next?: NextCall } {
  const next = waitAgain(looked) ?? otherwise?.()
  return next === undefined ? {} : { next }
}

/**
 * The same call with some fields changed. Without a key among them, it makes a new job. Its secrets are not repeated:
 * whoever has them gives them again.
 */
export function callAgain({ tool, input }: Look, why: string, changed: Readonly<Record<string, unknown>>): NextCall {
  const { idempotency_key: _key, connect, ...fields } = input
  const way = withoutLoginSecrets(connect)
  const secrets = Object.keys(loginSecretsIn(connect ?? {}) ?? {}).map((name) => `connect.${name}`)
  return {
    why: secrets.length === 0 ? why : `${why}; give ${secrets.join(' and ')} again`,
    tool,
    arguments: { ...fields, ...(way && { connect: way }), ...changed },
  }
}

function waitAgain({ look, notEnded, key }: Looked): NextCall | undefined {
  if (notEnded === 0) return undefined
  const why = `${notEnded} ${notEnded === 1 ? 'host has' : 'hosts have'} not answered yet; nothing runs twice`
  return callAgain(look, why, { idempotency_key: key })
}

/** The folded names. If they are too long: the first ones, and how many more there are. */
export function namesOf(hosts: readonly string[]): string {
  const all = foldHosts(hosts)
  if (all.length <= NAMES_CHARS) return all
  let count = hosts.length
  let some = all
  while (some.length > NAMES_CHARS && count > 1) {
    count = Math.ceil(count / 2)
    some = foldHosts(hosts.slice(0, count))
  }
  return `${clip(some, NAMES_CHARS)} and ${hosts.length - count} more`
}

/** The hosts as a target expression, or `given` if that would be too long. */
export function expressionOf(hosts: readonly string[], given: string): string {
  const expression = foldHosts(hosts)
  return expression.length <= EXPRESSION_CHARS ? expression : given
}
