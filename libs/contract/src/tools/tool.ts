/** What an MCP tool is (tools.ts), and the hints that several tools share. */
import type { z } from 'zod'
import type { Operation } from '../operations/operation.ts'
import type { OperationName } from '../operations/operations.ts'

/** The annotations of the MCP specification. All four are set, as the defaults do not suit every tool. */
type ToolHints = {
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

/** The tool only reads what Muster has stored. */
export const READS = { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false } as const
/** The tool looks at hosts, and changes nothing there. */
export const INSPECTS = {
  readOnlyHint: true,
  destructiveHint: false,
  idempotentHint: true,
  openWorldHint: true,
} as const
/** The tool may do anything to hosts. */
export const RUNS = { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true } as const
