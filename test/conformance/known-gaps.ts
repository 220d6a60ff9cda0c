/**
 * What the official scenarios ask for and do not get, each with the reason. A gap that closes fails the run until it is
 * taken off this list.
 */
import type { ScenarioRun } from './scenarios.ts'

/** A check that is known not to pass. */
export type KnownGap = Pick<ScenarioRun, 'on' | 'revision' | 'scenario'> & {
  readonly check: string
  readonly reason: string
}

const NO_SESSIONS =
  'The scenario stops where a server gives no session ID. Sessions are optional in this revision and ' +
  'gone in the next, ' +
  'under which the same scenario runs.'

const NO_FIXTURE_TOOL = 'Needs a tool that only a test server has. The fixture passes it.'

const LIFECYCLE_GAPS = {
  'sep-2663-tool-error-uses-completed-status':
    'A command that failed is a result and no error of a tool, with tasks as without them.',
  'sep-2663-tasks-get-status-failed': 'No task fails: the job says how a wait ended, and it can always be read again.',
  'sep-2663-cancel-ack-empty-result':
    'tasks/cancel ends the wait and never the job, so that the task goes on to be the job. That its ' +
    'answer is empty is ' +
    'checked by tasks-cancel-terminal-idempotent-ack, and by our own tests.',
} as const

const GAPS: readonly KnownGap[] = [
  {
    on: 'fixture',
    revision: '2025-11-25',
    scenario: 'server-sse-multiple-streams',
    check: 'server-sse-multiple-streams-session',
    reason: NO_SESSIONS,
  },
  ...[
    'sep-2575-server-rejects-undeclared-capability',
    'sep-2575-missing-capability-http-400',
    'sep-2575-http-server-no-independent-requests-on-stream',
    'sep-2575-server-no-log-without-loglevel',
  ].map(
    (check): KnownGap => ({
      on: 'product',
      revision: '2026-07-28',
      scenario: 'server-stateless',
      check,
      reason: NO_FIXTURE_TOOL,
    }),
  ),
  ...Object.entries(LIFECYCLE_GAPS).map(
    ([check, reason]): KnownGap => ({ on: 'fixture', scenario: 'tasks-lifecycle', check, reason }),
  ),
]

/** The gaps of a scenario. */
export function gapsOf({ on, revision, scenario }: ScenarioRun): KnownGap[] {
  return GAPS.filter((gap) => gap.on === on && gap.revision === revision && gap.scenario === scenario)
}
