/**
 * The MCP tools, made from the tables of the contract: how they are listed, and how a call becomes a result.
 *
 * No SDK is used here: both protocol generations send the same lists and results.
 */
import { isToolName, OPERATIONS, type Scope, TOOL_NAMES, TOOLS, type Tool, toProblem } from '@muster/contract'
import type { Ledger } from '@muster/ledger'
import type { Caller } from '../operations/call/operation.ts'
import type { Fields } from '../operations/call/request-input.ts'
import type { JsonSchema } from '../operations/operation-schemas.ts'
import type { Operations } from '../operations/operations.ts'
import { createCallTool } from './call-tool.ts'
import { refusalOf, resultOf, type ToolResult } from './tool-result.ts'
import { toolSchemasOf } from './tool-schemas.ts'

/** A tool as it is listed. */
export type ListedTool = {
  readonly name: string
  readonly description: string
  readonly inputSchema: JsonSchema & { type: 'object' }
  readonly outputSchema?: JsonSchema & { type: 'object' }
  readonly annotations: Tool['hints']
}

/** The tools of a server. */
export type Tools = {
  /** The tools that a key with these scopes may use, always in the same order. */
  list(scopes: ReadonlySet<Scope>): readonly ListedTool[]
  /** Carries out a call. `onFault` is told of faults of Muster. Undefined for an unknown tool. */
  call(name: string, fields: Fields, caller: Caller, onFault: (error: unknown) => void): Promise<ToolResult | undefined>
}

/** All tools as they are listed. */
export function listTools(): ListedTool[] {
  return TOOL_NAMES.map((name) => {
    const { description, hints }: Tool = TOOLS[name]
    return { name, description, ...toolSchemasOf(name), annotations: hints }
  })
}

/** The tools over the operations of a server. */
export function createTools(operations: Operations, ledger: Ledger): Tools {
  const listed = listTools()
  const callTool = createCallTool(operations, ledger)
  return {
    list: (scopes) =>
      listed.filter(({ name }) => isToolName(name) && scopes.has(OPERATIONS[TOOLS[name].operation].scope)),
    call: async (name, fields, caller, onFault) => {
      if (!isToolName(name)) return undefined
      try {
        return resultOf(await callTool(name, fields, caller))
      } catch (error) {
        const problem = toProblem(error)
        if (problem.status >= 500) onFault(error)
        return refusalOf(problem)
      }
    },
  }
}
