/** How the rollout options of a job look to a person. Pure; says nothing of what is as it is without being asked for. */
import type { RolloutOptions } from '@muster/contract'
import { indentedText } from './render-output.ts'

/** What was asked for, but for the health check: `canary 2, gate manual`. Null when nothing was. */
export function optionsText(options: RolloutOptions): string | null {
  const { batches, canary, max_errors: maxErrors, host_limit: hostLimit } = options
  const parts = [
    batches === undefined ? null : `batches ${batches.join(',')}`,
    canary === undefined ? null : `canary ${canary}`,
    options.batch_pause_s === 0 ? null : `pause ${options.batch_pause_s} s`,
    options.gate === 'auto' ? null : `gate ${options.gate}`,
    maxErrors === undefined ? null : `max errors ${maxErrors}`,
    options.on_budget === 'drain' ? null : `on budget ${options.on_budget}`,
    // A number of runs stands there as what it came to.
    typeof options.concurrency === 'number' ? null : `concurrency ${options.concurrency}`,
    options.read_only ? 'read only' : null,
    hostLimit === undefined ? null : `host limit ${hostLimit}`,
    options.force ? 'forced past breakers' : null,
  ].filter((part) => part !== null)
  return parts.length === 0 ? null : parts.join(', ')
}

/** The health check and its limit. Null without one. */
export function healthCheckText({ health_check: check }: RolloutOptions): string | null {
  if (check === undefined) return null
  return `${indentedText(check.command)} (at most ${check.timeout_s} s)`
}
