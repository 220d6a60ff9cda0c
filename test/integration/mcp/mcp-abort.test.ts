/** Callers of MCP who go away: their waits end, and their jobs go on. */
import { finishRun } from '@muster/ledger'
import { expect, test } from 'vitest'
import { ended, start } from '../../support/ledger/held-run.ts'
import { connectLegacySdk, connectModernSdk } from '../../support/mcp/mcp-clients.ts'
import { GENERATIONS, postMcp } from '../../support/mcp/mcp-requests.ts'
import { collectGarbage } from '../../support/runtime/garbage.ts'
import { startTestServer } from '../../support/server/server.ts'

async function startWithJob() {
  const server = await startTestServer()
  const { ledger, lines, call } = server
  const { body } = await call('POST', '/v1/jobs', { body: { command: 'x', targets: 'db1' } })
  const jobId = `${body.job_id}`
  const wait = { name: 'wait_job', arguments: { job_id: jobId, wait_s: 40 } }
  /** How many wait for a job on this server: each listens. */
  const waiting = () => ledger.listener().listenerCount('message')
  const expectUnharmed = async () => {
    expect(lines.filter((line) => /"level":(40|50|60)/.test(line))).toEqual([])
    expect((await call('GET', `/v1/jobs/${jobId}`)).body).toMatchObject({ state: 'queued', cancel_requested_at: null })
    await finishRun(ledger, await start(ledger, jobId, 0), ended())
    expect((await call('GET', `/v1/jobs/${jobId}`)).body).toMatchObject({ state: 'succeeded' })
  }
  return { ...server, wait, waiting, expectUnharmed }
}

test.each(
  GENERATIONS.flatMap((generation) => [[generation, {}] as const, [generation, { progressToken: 7 }] as const]),
)(
  'a %s caller that hangs up (%j) ends its wait, and leaves the job and nothing else behind',
  async (generation, meta) => {
    const { url, key, wait, waiting, expectUnharmed } = await startWithJob()
    const before = waiting()
    const leave = new AbortController()
    const request = { generation, method: 'tools/call', params: wait, meta, signal: leave.signal }
    const answer = postMcp({ url, key }, request)
    await expect.poll(waiting, { timeout: 20_000 }).toBe(before + 1)
    leave.abort()
    await expect(answer).rejects.toThrow(/abort/)
    await expect.poll(waiting, { timeout: 20_000 }).toBe(before)
    await expectUnharmed()
  },
)

test('a v2 client that cancels its call ends the wait', async () => {
  const { url, key, wait, waiting, expectUnharmed } = await startWithJob()
  const before = waiting()
  const client = await connectModernSdk({ url, key }, 'auto')
  const leave = new AbortController()
  const answer = client.callTool(wait, { signal: leave.signal })
  const refused = expect(answer).rejects.toThrow()
  await expect.poll(waiting, { timeout: 20_000 }).toBe(before + 1)
  leave.abort()
  await refused
  await expect.poll(waiting, { timeout: 20_000 }).toBe(before)
  await expectUnharmed()
})

test('a v1 client that cancels its call, with the notification of its time, harms nothing', async () => {
  const { url, key, wait, waiting, expectUnharmed } = await startWithJob()
  const before = waiting()
  const client = await connectLegacySdk({ url, key })
  const leave = new AbortController()
  const answer = client.callTool(wait, undefined, { signal: leave.signal })
  const refused = expect(answer).rejects.toThrow()
  await expect.poll(waiting, { timeout: 20_000 }).toBe(before + 1)
  leave.abort()
  await refused
  // Without sessions its notification reaches no call; hanging up does.
  await client.close()
  await expect.poll(waiting, { timeout: 20_000 }).toBe(before)
  await expectUnharmed()
})

test.each(GENERATIONS)('a %s wait ends at its time, also when garbage is collected meanwhile', async (generation) => {
  const { url, key, wait } = await startWithJob()
  const params = { ...wait, arguments: { ...wait.arguments, wait_s: 1 } }
  let hasEnded = false
  const waiting = postMcp({ url, key }, { generation, method: 'tools/call', params }).finally(() => {
    hasEnded = true
  })
  while (!hasEnded) await collectGarbage()
  expect((await waiting).result).toMatchObject({ structuredContent: { state: 'queued' } })
})
