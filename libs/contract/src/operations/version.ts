/** The version of Muster, as the OpenAPI document and the MCP servers give it. */
export const VERSION = '0.2.0'
