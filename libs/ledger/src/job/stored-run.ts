/**
 * A run as Redis holds it. Of a record that is damaged, or of another version, the rest is read: one bad record must
 * never fail the answer about all the other runs of its job.
 */
import { isTerminalRun, LateResult, Reached, Reason, Remote, RunMode, RunState } from '@muster/contract'
import { z } from 'zod'

/** The latest time that a Date can hold. */
export const LAST_MS = 8_640_000_000_000_000

const whole = z.coerce.number().int().min(0)
const count = whole.default(0)
const millis = z.coerce.number().min(0).max(LAST_MS).optional()
const sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .optional()
const exitCode = z
  .string()
  .regex(/^[0-9]{1,10}$/)
  .transform(Number)
  .optional()
const json = z.string().transform((text, context) => {
  try {
    return JSON.parse(text)
  } catch {
    context.addIssue('no JSON')
    return z.NEVER
  }
})

/** The fields of a run. Fields that do not apply are absent, and so are fields with their usual value. */
export const StoredRun = z.object({
  host: z.string().optional(),
  state: RunState,
  /** Present in every run that has ended: a field that was lost must not read as "not started". */
  remote: Remote.optional(),
  attempt: whole.default(1),
  /** The attempt whose end is that of the run; absent unless others have followed that did not start. */
  end_attempt: whole.optional(),
  mode: RunMode.optional(),
  notice: z.string().optional(),
  late_result: json.pipe(LateResult.extend({ signed: z.string().optional() })).optional(),
  retry_at: millis,
  /** Since when it waits for its turn at the host. */
  waits: millis,
  /** The breaker that barred it, and until when that was open. */
  barred_kind: z.enum(['connect', 'auth']).optional(),
  barred_until: millis,
  reason: Reason.optional(),
  detail: z.string().optional(),
  exit_code: exitCode,
  signal: z
    .string()
    .regex(/^[A-Z0-9]{1,16}$/)
    .optional(),
  worker: z.string().optional(),
  queued: millis,
  connecting: millis,
  started: millis,
  ended: millis,
  connect_ms: whole.optional(),
  reached: json.pipe(Reached).optional(),
  stdout: count,
  stderr: count,
  stdout_omitted: count,
  stderr_omitted: count,
  stdout_sha256: sha256,
  stderr_sha256: sha256,
  incomplete: z.string().optional(),
  /** Set where Redis has not all the output that its worker handed in. */
  missing: z.string().optional(),
  digest: z.string().default(''),
  /** The signature of the worker over its end (signed-end.ts). */
  signed: z.string().optional(),
})
export type StoredRun = z.infer<typeof StoredRun> & { readonly remote: Remote }

/** Without one of these nobody knows how the run ended. */
const DECISIVE = ['state', 'remote', 'exit_code'] as const

/** Reads a record that exists. Never throws: it leaves out what it cannot read, and says so in `notice` or `detail`. */
export function readStoredRun(fields: Readonly<Record<string, string>>): StoredRun {
  const { success, data, error } = StoredRun.safeParse(fields)
  const bad = success ? contradictions(data) : new Set(error.issues.map(({ path }) => String(path[0])))
  if (success && bad.size === 0) return { ...data, remote: data.remote ?? 'not_started' }
  const rest = Object.fromEntries(Object.entries(fields).filter(([name]) => !bad.has(name)))
  const names = [...bad].sort().join(', ')
  const state = RunState.safeParse(fields.state)
  const hasEnded = !state.success || isTerminalRun(state.data)
  if (hasEnded && DECISIVE.some((name) => bad.has(name) || (name === 'remote' && fields.remote === undefined))) {
    const { exit_code: _code, signal: _signal, ...others } = rest
    const detail = `its record in Redis cannot be read (${names}), so nobody knows how it ended`
    const lost = { state: 'lost', reason: 'result_missing', detail }
    return { ...StoredRun.parse({ ...others, ...lost }), remote: 'unknown' }
  }
  const told = `its record in Redis cannot be read in part, which is left out: ${names}`
  const notice = rest.notice === undefined ? told : `${rest.notice}; ${told}`
  const { remote = 'unknown', ...known } = StoredRun.parse({ ...rest, notice })
  return { ...known, remote }
}

/** The fields of an ended run that can be read and cannot be true. */
function contradictions({ state, remote, exit_code: exitCode }: z.infer<typeof StoredRun>): Set<string> {
  const isWrong = state === 'succeeded' && exitCode !== undefined && exitCode !== 0
  return new Set([
    ...(isWrong ? ['exit_code'] : []),
    ...(isTerminalRun(state) && remote === undefined ? ['remote'] : []),
  ])
}
