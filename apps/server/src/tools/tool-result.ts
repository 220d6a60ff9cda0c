/** The result of a tool call in the form of MCP: an answer, or a refusal or fault that says what to do next. */
import { escapeControl, escapeLine, type Problem } from '@muster/contract'
import { z } from 'zod'
import { callAfterProblem } from './next-calls.ts'

/** The result of a tool call. A refusal or fault is a result too: it tells the model what to do next. */
export type ToolResult = {
  readonly isError?: true
  readonly content: { type: 'text'; text: string }[]
  readonly structuredContent?: Record<string, unknown>
}

const Structured = z.record(z.string(), z.unknown())

/**
 * An answer: text as it is; anything else both as data and as JSON text, because some clients show the model only
 * one.
 */
export function resultOf(answer: unknown): ToolResult {
  if (typeof answer === 'string') return { content: [{ type: 'text', text: answer }] }
  const structuredContent = Structured.parse(escapeStrings(answer))
  return { content: [{ type: 'text', text: JSON.stringify(structuredContent) }], structuredContent }
}

/** A refusal or fault. */
export function refusalOf(problem: Problem): ToolResult {
  return { isError: true, content: [{ type: 'text', text: problemText(problem) }] }
}

function problemText(problem: Problem): string {
  const { code, detail, field, next, nearest, job_id: jobId } = problem
  const lines = [`${code}: ${detail}`, `What to do: ${next}`]
  if (field !== undefined && !detail.startsWith(`${field}: `)) lines.push(`Field: ${field}`)
  if (nearest !== undefined && nearest.length > 0) lines.push(`Nearest names: ${nearest.join(', ')}`)
  if (jobId !== undefined) lines.push(`Job: ${jobId}`)
  const call = callAfterProblem(problem)
  if (call !== undefined) lines.push(`Next call, to ${call.why}: ${call.tool} ${JSON.stringify(call.arguments)}`)
  return lines.map(escapeLine).join('\n')
}

/** The same value with every text in it safe to show: hosts wrote some of them. */
function escapeStrings(value: unknown): unknown {
  if (typeof value === 'string') return escapeControl(value)
  if (Array.isArray(value)) return value.map(escapeStrings)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, held]) => [escapeControl(key), escapeStrings(held)]))
}
