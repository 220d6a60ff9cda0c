/** The rollout options of a job as people see them. Pure; leaves out the defaults. */
import type { RolloutOptions } from '@muster/contract'
import { indentedText } from './render-output.ts'

/** The given options except for the health check: `canary 2, gate manual`. Null when there are none. */
export function optionsText(options: RolloutOptions): string | null {
  const { batches, canary, max_errors: maxErrors, host_limit: hostLimit } = options
  const parts = [
    batches === undefined ? null : `batches ${batches.join(',')}`,
    canary === undefined ? null : `canary ${canary}`,
    options.batch_pause_s === 0 ? null : `pause ${options.batch_pause_s} s`,
    options.gate === 'auto' ? null : `gate ${options.gate}`,
    maxErrors === undefined ? null : `max errors ${maxErrors}`,
    options.on_budget === 'drain' ? null : `on budget ${options.on_budget}`,
    // A plain number is shown elsewhere, as the fan-out of the job.
    typeof options.concurrency === 'number' ? null : `concurrency ${options.concurrency}`,
    options.read_only ? 'read only' : null,
    hostLimit === undefined ? null : `host limit ${hostLimit}`,
    options.force ? 'forced past breakers' : null,
  ].filter((part) => part !== null)
  return parts.length === 0 ? null : parts.join(', ')
}

/** The health check and its time limit; null without one. */
export function healthCheckText({ health_check: check }: RolloutOptions): string | null {
  if (check === undefined) return null
  return `${indentedText(check.command)} (at most ${check.timeout_s} s)`
}
