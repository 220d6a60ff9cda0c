/** From the name of an operation and a raw input to its answer: what REST and MCP have in common. */
import { type Input, OPERATIONS, type OperationName, type Output } from '@muster/contract'
import type { Asking, Operations } from './operations.ts'
import { checkInput, type InputSchema } from './request-input.ts'

/** The operation table, seen so that the type of a checked input follows from the name. */
const SCHEMAS: { readonly [N in OperationName]: { readonly input: InputSchema<Input<N>> } } = OPERATIONS

/**
 * Checks the input against the operation's schema and carries the operation out.
 * @throws {MusterError} invalid_request, and what the operation throws
 */
export function invoke<N extends OperationName>(
  operations: Operations,
  name: N,
  given: Record<string, unknown>,
  asking: Asking,
): Promise<Output<N>> {
  return operations[name](checkInput(SCHEMAS[name].input, given), asking)
}
