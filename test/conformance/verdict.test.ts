/** Whether a scenario of the official suite passed: it must have looked at something. */
import { expect, test } from 'vitest'
import type { KnownGap } from './known-gaps.ts'
import type { Check, ScenarioRun } from './scenarios.ts'
import { judge } from './verdict.ts'

const check = (id: string, status: Check['status']): Check => ({ id, status, description: `about ${id}` })
const run = (...checks: Check[]): ScenarioRun => ({ on: 'product', revision: '2026-07-28', scenario: 'some', checks })
const gap = (id: string): KnownGap => ({ ...run(), check: id, reason: 'for the test' })

const WIRE = check('wire-schema-valid', 'SUCCESS')

test('a scenario whose checks succeed has passed, and a warning is reported', () => {
  const { isPassed, lines } = judge(run(check('a', 'SUCCESS'), check('b', 'WARNING'), WIRE), [])
  expect(isPassed).toBe(true)
  expect(lines).toEqual(['ok   product 2026-07-28 some: 2 passed, 1 warned', '       warned: b: about b'])
})

test.each([
  ['was skipped', []],
  ['has only skipped checks', [check('a', 'SKIPPED')]],
  ['was looked at for the shape of its messages alone', [WIRE]],
  ['warns and passes nothing', [check('a', 'WARNING'), WIRE]],
  ['has one check that fails', [check('a', 'SUCCESS'), check('b', 'FAILURE')]],
  ['repeats a check that fails once', [check('a', 'SUCCESS'), check('a', 'FAILURE'), check('a', 'SUCCESS')]],
  ['sends messages that are not as the schema says', [check('a', 'SUCCESS'), check('wire-schema-valid', 'FAILURE')]],
])('a scenario that %s has failed', (_what, checks) => {
  expect(judge(run(...checks), []).isPassed).toBe(false)
})

test('a known gap does not fail the scenario, and nothing else is forgiven for it', () => {
  const gaps = [gap('b')]
  expect(judge(run(check('a', 'SUCCESS'), check('b', 'FAILURE')), gaps).isPassed).toBe(true)
  expect(judge(run(check('b', 'WARNING')), gaps).isPassed).toBe(true)
  expect(judge(run(check('a', 'SUCCESS'), check('b', 'FAILURE'), check('c', 'FAILURE')), gaps).isPassed).toBe(false)
  expect(judge(run(), gaps).isPassed).toBe(false)
})

test('a known gap that has closed fails the scenario until it is taken off the list', () => {
  const { isPassed, lines } = judge(run(check('a', 'SUCCESS'), check('b', 'SUCCESS')), [gap('b')])
  expect(isPassed).toBe(false)
  expect(lines.at(-1)).toContain('take it off the list of known gaps: b')
})
