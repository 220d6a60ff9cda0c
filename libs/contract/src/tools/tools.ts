/**
 * The MCP tools, made from the operation table: each is an operation with fewer fields and fewer words, because all that
 * an AI agent is told of counts against what it can keep in mind.
 */
import { HOST_TOOLS } from './host-tools.ts'
import { JOB_TOOLS } from './job-tools.ts'
import type { Tool } from './tool.ts'

/** All tools by name, in the order in which they are listed. */
export const TOOLS = { ...JOB_TOOLS, ...HOST_TOOLS } as const satisfies Record<string, Tool>

/** The name of a tool. */
export type ToolName = keyof typeof TOOLS
/** All names, in the order of the table. */
export const TOOL_NAMES: readonly ToolName[] = Object.keys(TOOLS).filter(isToolName)

/** Whether a text is the name of a tool. */
export function isToolName(name: string): name is ToolName {
  return Object.hasOwn(TOOLS, name)
}
