/** The MCP servers of the product: the same tools in both generations of the protocol. */

import type { CallDeps } from './answer-call.ts'
import type { McpServers } from './endpoint.ts'
import { createLegacyServer } from './legacy.ts'
import { createModernServer } from './modern.ts'

/** Servers over tools that are made once, so that one for each request costs little. */
export function createMcpServers(deps: CallDeps): McpServers {
  return {
    legacy: (context) => createLegacyServer(deps, context),
    modern: (context) => createModernServer(deps, context),
  }
}
