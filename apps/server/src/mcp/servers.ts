/** The MCP servers of the product: the same tools in both generations of the protocol. */

import { createLegacyServer } from './legacy.ts'
import { createModernServer } from './modern.ts'
import type { CallDeps, McpServers } from './request.ts'

/** Makes a server for each request. The tools are made once and shared, so a server costs little. */
export function createMcpServers(deps: CallDeps): McpServers {
  return {
    legacy: (context) => createLegacyServer(deps, context),
    modern: (context) => createModernServer(deps, context),
  }
}
