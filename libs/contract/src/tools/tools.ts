/**
 * The MCP tools. Each is a view of an operation with fewer fields and fewer words, because everything an AI agent is
 * told takes room in its context.
 */
import type { Operation } from '../operations/operation.ts'
import { OPERATIONS } from '../operations/operations.ts'
import { HOST_TOOLS } from './host-tools.ts'
import { JOB_TOOLS } from './job-tools.ts'
import type { Tool } from './tool.ts'

/** All tools by name, in listing order. */
export const TOOLS = { ...JOB_TOOLS, ...HOST_TOOLS } as const satisfies Record<string, Tool>

/** The name of a tool. */
export type ToolName = keyof typeof TOOLS
/** All names, in the order of the table. */
export const TOOL_NAMES: readonly ToolName[] = Object.keys(TOOLS).filter(isToolName)

/** Whether there is a tool of this name. */
export function isToolName(name: string): name is ToolName {
  return Object.hasOwn(TOOLS, name)
}

/**
 * What a call of the tool is checked against. It has all fields of the operation, also those the tool does not list.
 */
export function inputOfTool(name: ToolName): Operation['input'] {
  const { operation, input }: Tool = TOOLS[name]
  return input ?? OPERATIONS[operation].input
}

/** What the tool answers: an object, or a string for text. */
export function outputOfTool(name: ToolName): Operation['output'] {
  const { operation, output }: Tool = TOOLS[name]
  return output ?? OPERATIONS[operation].output
}
