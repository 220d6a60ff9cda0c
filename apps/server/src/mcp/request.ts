/** The types of a request to the MCP endpoint and of a tool call in it. They name no generation of the protocol. */
import type { Server as LegacyServer } from '@modelcontextprotocol/sdk/server/index.js'
import type { McpServer, Server } from '@modelcontextprotocol/server'
import type { ToolProfile } from '@muster/contract'
import type { Ledger } from '@muster/ledger'
import type { Logger } from '@muster/runtime'
import type { Caller } from '../operations/call/operation.ts'
import type { Fields } from '../operations/call/request-input.ts'
import type { Operations } from '../operations/operations.ts'
import type { Tools } from '../tools/tools.ts'

/** The one request that a server is made for. */
export type McpContext = {
  readonly caller: Caller
  /** The set of tools that the caller has asked for. */
  readonly profile: ToolProfile
  /** The ID in the header `X-Request-Id` and in the log. */
  readonly requestId: string
}

/** Makes a fresh server for a request, for the protocol generation of that request. */
export type McpServers = {
  /** Revisions 2024-11-05 to 2025-11-25. */
  legacy(context: McpContext): Pick<LegacyServer, 'connect' | 'close'>
  /** Revision 2026-07-28. */
  modern(context: McpContext): McpServer | Server
  /**
   * Whether legacy servers send notifications and requests on their own, so that every answer must be a stream. If not
   * set, only calls with a progress token are answered with a stream.
   */
  readonly streams?: boolean
}

/** What answering a call needs. */
export type CallDeps = {
  readonly tools: Readonly<Record<ToolProfile, Tools>>
  readonly operations: Operations
  readonly ledger: Ledger
  readonly logger: Logger
}

/** A tool call, in words of neither SDK. */
export type ToolCall = {
  readonly name: string
  readonly fields: Fields
  readonly meta: { readonly [name: string]: unknown; readonly progressToken?: string | number | undefined }
  /** Aborts when the caller cancels the call or is gone. */
  readonly signal: AbortSignal
  readonly notify: (progress: ProgressNotice) => Promise<void>
}

/** What a caller is told: how many seconds of the longest wait (`total`) have passed, and how the job is doing. */
export type ProgressNotice = {
  readonly progressToken: string | number
  readonly progress: number
  readonly total: number
  readonly message: string
}
