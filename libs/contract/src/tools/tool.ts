/** What an MCP tool is (tools.ts), and the hints that several tools share. */
import type { z } from 'zod'
import type { Operation } from '../operations/operation.ts'
import type { OperationName } from '../operations/operations.ts'

/** What the MCP specification calls annotations. All four are set, because the defaults of the specification are wrong here. */
export type ToolHints = {
  readonly readOnlyHint: boolean
  readonly destructiveHint: boolean
  readonly idempotentHint: boolean
  readonly openWorldHint: boolean
}

/** One row of the table of tools. All definitions together stay under 5,000 tokens, so every word counts. */
export type Tool = {
  /** The operation that the tool carries out. */
  readonly operation: OperationName
  /** The input of the operation, with a default or a limit of the tool's own. Absent: as the operation has it. */
  readonly input?: Operation['input']
  readonly description: string
  /** The fields of the input that the tool takes, in this order, each with what is said of it. */
  readonly fields: Readonly<Record<string, FieldWords>>
  /** What the tool answers, where that is shorter than what its operation answers. Absent: the same. */
  readonly output?: z.ZodType
  readonly hints: ToolHints
}

/** What a tool says of a field: a shorter description; `true` for the operation's own; '' for nothing. */
type FieldWords = string | true

/** Only reads what Muster knows. */
export const READS = { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false } as const
/** Looks at hosts, and changes nothing there. */
export const INSPECTS = {
  readOnlyHint: true,
  destructiveHint: false,
  idempotentHint: true,
  openWorldHint: true,
} as const
/** May do anything to hosts. */
export const RUNS = { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true } as const
