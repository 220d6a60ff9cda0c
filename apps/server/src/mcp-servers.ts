/** The MCP servers of the product: the same tools in both generations of the protocol. */
import type { McpServers } from './mcp.ts'
import type { CallDeps } from './mcp-call.ts'
import { createLegacyServer } from './mcp-legacy.ts'
import { createModernServer } from './mcp-modern.ts'

/** Servers over tools that are made once, so that one for each request costs little. */
export function createMcpServers(deps: CallDeps): McpServers {
  return {
    legacy: (context) => createLegacyServer(deps, context),
    modern: (context) => createModernServer(deps, context),
  }
}
