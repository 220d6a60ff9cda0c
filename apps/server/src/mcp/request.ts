/** A request to the MCP endpoint, and a tool call in it, in words of no SDK and no generation of the protocol. */
import type { Server as LegacyServer } from '@modelcontextprotocol/sdk/server/index.js'
import type { McpServer, Server } from '@modelcontextprotocol/server'
import type { Ledger } from '@muster/ledger'
import type { Logger } from '@muster/runtime'
import type { Caller } from '../operations/call/operation.ts'
import type { Fields } from '../operations/call/request-input.ts'
import type { Operations } from '../operations/operations.ts'
import type { Tools } from '../tools/tools.ts'

/** What a server is made for: one request. */
export type McpContext = {
  readonly caller: Caller
  /** As it is told in the header `X-Request-Id`, and logged. */
  readonly requestId: string
}

/** Makes a fresh server for a request, of the generation that it speaks. */
export type McpServers = {
  /** Revisions 2024-11-05 to 2025-11-25. */
  legacy(context: McpContext): Pick<LegacyServer, 'connect' | 'close'>
  /** Revision 2026-07-28. */
  modern(context: McpContext): McpServer | Server
  /**
   * Whether legacy servers notify and ask their client unasked, so that every answer must be a stream. Without, only
   * calls with a progress token are answered with one.
   */
  readonly streams?: boolean
}

/** What calls need. */
export type CallDeps = {
  readonly tools: Tools
  readonly operations: Operations
  readonly ledger: Ledger
  readonly logger: Logger
}

/** A call, without the words of an SDK. */
export type ToolCall = {
  readonly name: string
  readonly fields: Fields
  readonly meta: { readonly [name: string]: unknown; readonly progressToken?: string | number | undefined }
  /** Aborts when the caller cancels the call or is gone. */
  readonly signal: AbortSignal
  readonly notify: (progress: ProgressNotice) => Promise<void>
}

/** What a caller is told: seconds of the longest wait that have gone by, and how the job is doing. */
export type ProgressNotice = {
  readonly progressToken: string | number
  readonly progress: number
  readonly total: number
  readonly message: string
}
