/**
 * The MCP tools, made from the tables of the contract: how they are listed, and how a call becomes a result.
 *
 * No SDK is used here: both protocol generations send the same lists and results.
 */
import { type Scope, TOOL_NAMES, TOOLS, type Tool, type ToolName, toProblem } from '@muster/contract'
import type { Caller } from '../operations/call/operation.ts'
import type { Fields } from '../operations/call/request-input.ts'
import type { JsonSchema } from '../operations/operation-schemas.ts'
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

/** Carries out a call of one tool; what it answers, as text or as an object. */
export type Call = (fields: Fields, caller: Caller) => Promise<unknown>

/** A tool that a server offers. */
export type OfferedTool = {
  readonly listed: ListedTool
  /** What a key must be allowed to do to use it. */
  readonly scope: Scope
  readonly call: Call
}

/** The tools of a server. */
export type Tools = {
  /** The tools that a key with these scopes may use, always in the same order. */
  list(scopes: ReadonlySet<Scope>): readonly ListedTool[]
  /** Carries out a call. `onFault` is told of faults of Muster. Undefined for an unknown tool. */
  call(name: string, fields: Fields, caller: Caller, onFault: (error: unknown) => void): Promise<ToolResult | undefined>
}

/** All tools of the default profile as they are listed. */
export function listTools(): (ListedTool & { readonly name: ToolName })[] {
  return TOOL_NAMES.map((name) => {
    const { description, hints }: Tool = TOOLS[name]
    return { name, description, ...toolSchemasOf(name), annotations: hints }
  })
}

/** The tools of a server, of these that it offers. */
export function createTools(offered: readonly OfferedTool[]): Tools {
  const byName = new Map(offered.map((tool) => [tool.listed.name, tool]))
  return {
    list: (scopes) => offered.filter(({ scope }) => scopes.has(scope)).map(({ listed }) => listed),
    call: async (name, fields, caller, onFault) => {
      const tool = byName.get(name)
      if (tool === undefined) return undefined
      try {
        return resultOf(await tool.call(fields, caller))
      } catch (error) {
        const problem = toProblem(error)
        if (problem.status >= 500) onFault(error)
        return refusalOf(problem)
      }
    },
  }
}
