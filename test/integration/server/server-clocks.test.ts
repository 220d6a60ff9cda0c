/** A server whose date is wrong says nothing wrong of jobs and limits: it reckons by Redis' clock, or by none. */
import { expect, onTestFinished, test, vi } from 'vitest'
import { z } from 'zod'
import { connectMcp } from '../../support/server/every-call.ts'
import { startTestServer } from '../../support/server/server.ts'

const HOUR_MS = 3_600_000

/** Sets the date of this process, in which the server runs; timers go on. */
function setDate(aheadMs: number): void {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + aheadMs })
  onTestFinished(() => void vi.useRealTimers())
}

test('the age of a job, and when to look again, are reported by the clock that dated it', async () => {
  const server = await startTestServer()
  const { body } = await server.call('POST', '/v1/jobs', { body: { targets: 'web01', command: 'true' } })
  const client = await connectMcp(server, `Bearer ${server.key}`)
  setDate(HOUR_MS)
  const { structuredContent } = await client.callTool({ name: 'get_job', arguments: { job_id: body.job_id } })
  const answer = z.looseObject({ elapsed_s: z.number(), next_poll_s: z.number() }).parse(structuredContent)
  expect(answer.elapsed_s).toBeLessThan(60)
  expect(answer.next_poll_s).toBeLessThan(15)
})

test('a key that calls too often waits for a minute at most, though the date was set back', async () => {
  const { call, makeKey } = await startTestServer({ limits: { callsPerMin: 1, jobsPerMin: 0 } })
  const { authorization } = await makeKey({ owner: 'first' })
  const list = () => call('GET', '/v1/hosts', { headers: { authorization } })
  expect((await list()).status).toBe(200)
  setDate(-HOUR_MS)
  const refused = await list()
  expect(refused.status).toBe(429)
  expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(60)
})
