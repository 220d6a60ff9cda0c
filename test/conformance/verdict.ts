/**
 * Whether a scenario passed. It did when it checked something, nothing failed, and each known gap is still one: a gap
 * that has closed must be taken off the list.
 */
import { gapsOf, type KnownGap } from './known-gaps.ts'
import type { Check, ScenarioRun } from './scenarios.ts'

/** What is said of a scenario. */
export type Verdict = {
  readonly isPassed: boolean
  /** One line, then one more for each thing that is wrong. */
  readonly lines: readonly string[]
}

/** The suite adds these to every scenario; alone they say that messages came, not that anything was looked at. */
const WIRE_CHECK = /^wire-schema-/

/** Judges a scenario. */
export function judge(run: ScenarioRun, gaps: readonly KnownGap[] = gapsOf(run)): Verdict {
  const statusesOf = (id: string) => run.checks.filter((check) => check.id === id).map(({ status }) => status)
  const isGap = (check: Check) => gaps.some((gap) => gap.check === check.id)
  const own = run.checks.filter((check) => !WIRE_CHECK.test(check.id))
  const passed = run.checks.filter(({ status }) => status === 'SUCCESS')
  const failed = run.checks.filter((check) => check.status === 'FAILURE' && !isGap(check))
  const warned = run.checks.filter((check) => check.status === 'WARNING' && !isGap(check))
  const closed = gaps.filter(({ check }) => statusesOf(check).every((status) => status === 'SUCCESS'))
  const hasChecked = own.some(({ status }) => status === 'SUCCESS') || (gaps.length > 0 && own.some(isGap))
  const isPassed = hasChecked && failed.length === 0 && closed.length === 0

  const counts = [`${passed.length} passed`]
  if (failed.length > 0) counts.push(`${failed.length} failed`)
  if (warned.length > 0) counts.push(`${warned.length} warned`)
  if (gaps.length > 0) counts.push(`${gaps.length} known`)
  const name = [run.on, run.revision, run.scenario].filter((part) => part !== undefined).join(' ')
  return {
    isPassed,
    lines: [
      `${isPassed ? 'ok  ' : 'FAIL'} ${name}: ${counts.join(', ')}`,
      ...(hasChecked ? [] : ['       skipped, or nothing was checked']),
      ...failed.map((check) => `       failed: ${check.id}: ${check.errorMessage ?? check.description}`),
      ...warned.map((check) => `       warned: ${check.id}: ${check.errorMessage ?? check.description}`),
      ...closed.map((gap) => `       passes now, take it off the list of known gaps: ${gap.check}`),
    ],
  }
}
