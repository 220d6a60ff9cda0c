/** What a caller may read of events and of refusals. Other answers are cut by `shownTo` of the contract. */
import { MusterError, type Scope, shownTo } from '@muster/contract'
import { nearestHint } from '@muster/inventory'
import type { z } from 'zod'
import type { Caller } from './operation.ts'

/** The events, each as a caller with these scopes may read it. */
export async function* shownEvents<T>(
  scopes: ReadonlySet<Scope>,
  schema: z.ZodType<T>,
  events: AsyncIterable<T>,
): AsyncGenerator<T> {
  for await (const event of events) yield shownTo(scopes, schema, event)
}

/**
 * Throws the error, without the names of hosts that it suggests if the caller may not see them: those of the inventory
 * or, in a call about a job, of that job.
 */
export function refusalFor({ scopes }: Pick<Caller, 'scopes'>, input: object, error: unknown): never {
  if (!(error instanceof MusterError) || error.details.nearest === undefined) throw error
  if (scopes.has('job_id' in input ? 'jobs:read' : 'hosts:read')) throw error
  const { nearest, ...details } = error.details
  const message = error.message.replace(nearestHint(nearest), '')
  throw new MusterError(error.code, message, { details, cause: error })
}
