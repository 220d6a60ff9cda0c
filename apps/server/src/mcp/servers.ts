/** The MCP servers of the product: the same tools in both generations of the protocol. */

import { createLegacyServer } from './legacy.ts'
import { createModernServer } from './modern.ts'
import type { CallDeps, McpServers } from './request.ts'

/** Servers over tools that are made once, so that one for each request costs little. */
export function createMcpServers(deps: CallDeps): McpServers {
  return {
    legacy: (context) => createLegacyServer(deps, context),
    modern: (context) => createModernServer(deps, context),
  }
}
