export { createModernServer } from './mcp/modern.ts'
export type { CallDeps, McpContext } from './mcp/request.ts'
export { answerWithTask } from './mcp/tasks.ts'
export { buildServer, type ServerDeps } from './server.ts'
