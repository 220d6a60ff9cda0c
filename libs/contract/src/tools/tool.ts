/** What an MCP tool of the tables is (tools.ts), and the hints that several of them share. */
import type { z } from 'zod'
import type { OperationName } from '../operations/operations.ts'

/** What the MCP specification calls annotations; each is set, truthfully, as the defaults are not harmless. */
export type ToolHints = {
  readonly readOnlyHint: boolean
  readonly destructiveHint: boolean
  readonly idempotentHint: boolean
  readonly openWorldHint: boolean
}

/** One row of a table of tools. All definitions together stay under 5,000 tokens, so every word counts. */
export type Tool = {
  /** The operation that is carried out. */
  readonly operation: OperationName
  readonly description: string
  /** The fields of the operation that the tool takes, in this order, each with its description here; "" for none. */
  readonly fields: Readonly<Record<string, string>>
  /** What it answers. Absent when it answers text. */
  readonly output?: z.ZodType
  readonly hints: ToolHints
}

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
