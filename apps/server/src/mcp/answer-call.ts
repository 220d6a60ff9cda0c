/**
 * A call of a tool, as both generations of the protocol carry it out: with its trace context, told of progress when it
 * asks to be, ended when its caller goes away.
 *
 * Knows no transport. What the tools do, `tools.ts` knows.
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
 * @throws {ProtocolError} for a tool that there is not
 */
export async function answerCall(deps: CallDeps, context: McpContext, call: ToolCall): Promise<ToolResult> {
  const { tools, logger } = deps
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
    // Nothing of the fault is told; with this it can be found in the log.
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
