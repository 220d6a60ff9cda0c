/** The MCP tools, made from the operation table: how they are listed, and how a call becomes an answer. */

import { type CallToolResult, type Tool, ToolSchema } from '@modelcontextprotocol/sdk/types.js'
import {
  escapeControl,
  OPERATION_NAMES,
  OPERATIONS,
  type Operation,
  type OperationName,
  toProblem,
} from '@muster/contract'
import { z } from 'zod'
import { inputSchemaOf, outputSchemaOf } from './operation-schemas.ts'
import { type Caller, callOperation, type Operations } from './operations.ts'
import type { Fields } from './request-input.ts'

const Structured = z.record(z.string(), z.unknown())

/** The tools in the order of the table, by name, each with the operation behind it. */
export function createTools(): ReadonlyMap<string, { name: OperationName; tool: Tool }> {
  const tools = new Map<string, { name: OperationName; tool: Tool }>()
  for (const name of OPERATION_NAMES) {
    const { tool, summary }: Operation = OPERATIONS[name]
    if (tool === undefined) continue
    const { name: toolName, ...annotations } = tool
    const outputSchema = outputSchemaOf(name)
    const listed = ToolSchema.parse({
      name: toolName,
      description: summary,
      inputSchema: inputSchemaOf(name),
      ...(outputSchema === undefined ? {} : { outputSchema }),
      annotations,
    })
    tools.set(toolName, { name, tool: listed })
  }
  return tools
}

/**
 * Carries out a tool call. A refusal or fault is an answer too, which tells the model what to do next; `onFault` hears
 * of those that are ours.
 */
export async function callTool(
  operations: Operations,
  name: OperationName,
  fields: Fields,
  caller: Caller,
  onFault: (error: unknown) => void,
): Promise<CallToolResult> {
  try {
    const answer = await callOperation(operations, name, fields, caller)
    if (typeof answer === 'string') return { content: [{ type: 'text', text: answer }] }
    // Some clients show the model only the structured part, others only the text: both say all.
    const structuredContent = Structured.parse(escapeStrings(answer))
    return { content: [{ type: 'text', text: JSON.stringify(structuredContent) }], structuredContent }
  } catch (error) {
    const problem = toProblem(error)
    if (problem.status >= 500) onFault(error)
    return { isError: true, content: [{ type: 'text', text: problemText(problem) }] }
  }
}

function problemText({ code, detail, field, next, nearest, job_id: jobId }: ReturnType<typeof toProblem>): string {
  const lines = [`${code}: ${detail}`, `What to do: ${next}`]
  if (field !== undefined && !detail.startsWith(`${field}: `)) lines.push(`Field: ${field}`)
  if (nearest !== undefined && nearest.length > 0) lines.push(`Nearest names: ${nearest.join(', ')}`)
  if (jobId !== undefined) lines.push(`Job: ${jobId}`)
  return escapeControl(lines.join('\n'))
}

/** The same value with every text in it safe to show: what hosts print, and what they say when they refuse. */
function escapeStrings(value: unknown): unknown {
  if (typeof value === 'string') return escapeControl(value)
  if (Array.isArray(value)) return value.map(escapeStrings)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, held]) => [escapeControl(key), escapeStrings(held)]))
}
