/**
 * The MCP tools, made from the tables of the contract: how they are listed, and how a call becomes an answer.
 *
 * Knows no SDK: both protocol generations answer with what this gives them.
 */
import {
  isToolName,
  OPERATIONS,
  type Scope,
  TOOL_NAMES,
  TOOLS,
  type Tool,
  type ToolName,
  toProblem,
} from '@muster/contract'
import type { Caller } from '../operations/call/operation.ts'
import { type Fields, refuseUnknown } from '../operations/call/request-input.ts'
import type { JsonSchema } from '../operations/operation-schemas.ts'
import { callOperation, type Operations } from '../operations/operations.ts'
import { createToolAnswers, type ToolAnswers } from './tool-answers.ts'
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
  /** Those that a key with these scopes may use, always in the same order. */
  list(scopes: ReadonlySet<Scope>): readonly ListedTool[]
  /** Carries out a call. `onFault` hears of faults that are ours. Undefined when there is no such tool. */
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
export function createTools(operations: Operations): Tools {
  const listed = listTools()
  const answers = createToolAnswers(operations)
  return {
    list: (scopes) =>
      listed.filter(({ name }) => isToolName(name) && scopes.has(OPERATIONS[TOOLS[name].operation].scope)),
    call: async (name, fields, caller, onFault) => {
      if (!isToolName(name)) return undefined
      try {
        return resultOf(await answerCall(operations, answers, name, fields, caller))
      } catch (error) {
        const problem = toProblem(error)
        if (problem.status >= 500) onFault(error)
        return refusalOf(problem)
      }
    },
  }
}

async function answerCall<T extends ToolName>(
  operations: Operations,
  answers: ToolAnswers,
  name: T,
  fields: Fields,
  caller: Caller,
): Promise<unknown> {
  // A tool takes fewer fields than its operation: one that is not listed is as good as misspelt.
  refuseUnknown(fields, Object.keys(TOOLS[name].fields))
  const operation: (typeof TOOLS)[T]['operation'] = TOOLS[name].operation
  return answers[name](await callOperation(operations, operation, fields, caller), fields, caller)
}
