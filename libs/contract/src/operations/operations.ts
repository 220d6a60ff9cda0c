/**
 * The operation table: one row for everything a caller can ask for. REST routes, OpenAPI, MCP tools (`tools/tools.ts`)
 * and CLI flags are made from it; `test/unit/server/operations.test.ts` compares them.
 *
 * `operations/operations.ts` of apps/server carries the operations out.
 */
import type { z } from 'zod'
import { HOST_OPERATIONS } from './host-operations.ts'
import { JOB_OPERATIONS } from './job-operations.ts'
import { KEY_OPERATIONS } from './key-operations.ts'
import { OUTPUT_OPERATIONS } from './output-operations.ts'
import { STEER_OPERATIONS } from './steer-operations.ts'

/** The table. Its keys are the operation names, used as OpenAPI operation IDs. */
export const OPERATIONS = {
  ...JOB_OPERATIONS,
  ...OUTPUT_OPERATIONS,
  ...STEER_OPERATIONS,
  ...HOST_OPERATIONS,
  ...KEY_OPERATIONS,
} as const

/** The name of an operation. */
export type OperationName = keyof typeof OPERATIONS
/** All names, in the order of the table. */
export const OPERATION_NAMES: readonly OperationName[] = Object.keys(OPERATIONS).filter(isOperationName)

function isOperationName(name: string): name is OperationName {
  return name in OPERATIONS
}

/** The input of an operation after validation, with defaults filled in. */
export type Input<N extends OperationName> = z.infer<(typeof OPERATIONS)[N]['input']>
/** What a caller may send for an operation: fields with defaults can be left out. */
export type Request<N extends OperationName> = z.input<(typeof OPERATIONS)[N]['input']>
/** What an operation answers; of one that answers events, one event. */
export type Output<N extends OperationName> = z.infer<(typeof OPERATIONS)[N]['output']>
