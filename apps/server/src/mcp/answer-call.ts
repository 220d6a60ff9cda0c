/**
 * Answers a tool call, for both generations of the protocol: with its trace context, with progress if it asks for that,
 * and until its caller goes away.
 *
 * It knows no transport. `tools.ts` knows what the tools do.
 */
import { ProtocolError, ProtocolErrorCode } from '@modelcontextprotocol/server'
import { escapeControl } from '@muster/contract'
import { readTraceparent } from '../http/traceparent.ts'
import type { Caller } from '../operations/call/operation.ts'
import type { ToolResult } from '../tools/tool-result.ts'
import { reportProgress } from './progress.ts'
import type { CallDeps, McpContext, ToolCall } from './request.ts'

/**
 * Carries out a call. A refusal or a fault of ours is an answer too.
 * @throws {ProtocolError} for an unknown tool
 */
export async function answerCall(deps: CallDeps, context: McpContext, call: ToolCall): Promise<ToolResult> {
  const { logger } = deps
  const tools = deps.tools[context.profile]
  const caller = callerOfCall(context, call)
  let isFault = false
  const onFault = (error: unknown) => {
    isFault = true
    logger.error({ err: error, request_id: context.requestId, tool: call.name }, 'a tool call failed')
  }
  const result = await reportProgress(deps, call, caller, (watched) =>
    tools.call(call.name, call.fields, watched, onFault),
  )
  if (result !== undefined && isFault) {
    // The caller learns nothing of the fault, only the ID under which the log has it.
    return { ...result, content: [...result.content, { type: 'text', text: `Request: ${context.requestId}` }] }
  }
  if (result !== undefined) return result
  const names = tools.list(caller.scopes).map((tool) => tool.name)
  const message = `there is no tool ${JSON.stringify(call.name.slice(0, 100))}; the tools are ${names.join(', ')}`
  throw new ProtocolError(ProtocolErrorCode.InvalidParams, escapeControl(message))
}

function callerOfCall({ caller }: McpContext, { meta, signal }: ToolCall): Caller {
  const traceparent = readTraceparent(meta.traceparent)
  return {
    ...caller,
    signal: AbortSignal.any([caller.signal, signal]),
    ...(traceparent === undefined ? {} : { traceparent }),
  }
}
