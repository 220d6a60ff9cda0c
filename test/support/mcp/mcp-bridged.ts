/** `muster mcp` before a server of the test. */
import { once } from 'node:events'
import type { Server } from 'node:net'
import { onTestFinished } from 'vitest'
import { z } from 'zod'
import { startTestServer } from '../server/server.ts'
import { startMcp } from './mcp-stdio.ts'

/** The address of a server of the test's own. */
export async function listenLocally(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  return `http://127.0.0.1:${z.object({ port: z.number() }).parse(server.address()).port}`
}

/** `muster mcp` before a test server, which it is told of by the environment. */
export async function bridged(more: Record<string, string> = {}) {
  const server = await startTestServer()
  const env = { PATH: process.env.PATH, HOME: server.dataDir, MUSTER_URL: server.url, MUSTER_API_KEY: server.key }
  return { server, env, mcp: startMcp({ ...env, ...more }) }
}

/** The request that waits for a job. */
export const waitFor = (jobId: unknown, wait_s = 40) => ({
  method: 'tools/call',
  params: { name: 'wait_job', arguments: { job_id: jobId, wait_s } },
})
