/** One key takes all the waits and streams that it is given: what it is told, over REST and MCP, and what is left. */
import { setTimeout } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { submitTo } from '../../support/ledger/ledger.ts'
import { postMcp } from '../../support/mcp/mcp-requests.ts'
import { openEvents } from '../../support/server/event-reader.ts'
import { startTestServer } from '../../support/server/server.ts'

const SUBMIT = { command: 'true', targets: 'web01', wait_s: 1 }
/** A quarter of the waits of a server, and of its streams. */
const WAITS = 250
const STREAMS = 50

/** A server with a job of each owner that does not end, and a key that has all its waits open. */
async function startWaitedFor() {
  const server = await startTestServer()
  const gone = new AbortController()
  onTestFinished(() => gone.abort())
  const jobId = await submitTo(server.ledger, 1)
  const path = `/v1/jobs/${jobId}`
  // A wait that ends, as when Redis takes too long on a busy machine, begins again.
  const waitOn = async () => {
    const headers = { authorization: `Bearer ${server.key}` }
    while (!gone.signal.aborted) {
      const answer = await fetch(`${server.url}${path}?wait_s=45`, { headers, signal: gone.signal })
      await answer.text()
      await setTimeout(100)
    }
  }
  for (let i = 0; i < WAITS; i += 1) waitOn().catch(() => {})
  const more = () => server.call('GET', `${path}?wait_s=0.01`)
  await expect.poll(async () => (await more()).status, { timeout: 40_000 }).toBe(429)
  return { ...server, path, jobId, more, leave: () => gone.abort() }
}

describe('a key that has its share of the waits', () => {
  test('is refused further ones by name and number, with a time to wait; without wait_s it is answered', async () => {
    const { more, call, path, leave } = await startWaitedFor()
    const refused = await more()
    expect([refused.status, refused.headers.get('retry-after'), refused.body]).toMatchObject([
      429,
      '5',
      { code: 'share_taken', retry_after_s: 5, detail: expect.stringContaining('the API key first has 250 calls') },
    ])
    expect((await call('GET', path)).status).toBe(200)
    leave()
    await expect.poll(async () => (await more()).status, { timeout: 10_000 }).toBe(200)
  })

  test('has nothing enqueued by a submit that would wait', async () => {
    const { call } = await startWaitedFor()
    const jobs = async () => (await call('GET', '/v1/jobs')).body.jobs
    const before = await jobs()
    expect((await call('POST', '/v1/jobs', { body: SUBMIT })).body.code).toBe('share_taken')
    expect((await call('POST', '/v1/hosts/web01/test', { body: {} })).body.code).toBe('share_taken')
    expect(await jobs()).toEqual(before)
    expect((await call('POST', '/v1/jobs', { body: { ...SUBMIT, wait_s: 0 } })).status).toBe(202)
  })

  test.each(['legacy', 'modern'] as const)('is told over MCP (%s), with progress or without', async (generation) => {
    const server = await startWaitedFor()
    const wait = { name: 'wait_job', arguments: { job_id: server.jobId, wait_s: 1 } }
    for (const meta of [{}, { progressToken: 'p' }]) {
      const { text } = await postMcp(server, { generation, method: 'tools/call', params: wait, meta })
      expect(text).toMatch(/"isError":true/)
      expect(text).toMatch(/share_taken: the API key first has 250 calls that wait.*try again in 5 s/)
    }
    const now = { name: 'get_job', arguments: { job_id: server.jobId } }
    expect((await postMcp(server, { generation, method: 'tools/call', params: now })).text).not.toContain('isError')
  })

  test('leaves the others theirs', async () => {
    const { call, makeKey } = await startWaitedFor()
    const { authorization } = await makeKey({ owner: 'other' })
    const headers = { authorization }
    const submitted = await call('POST', '/v1/jobs', { headers, body: SUBMIT })
    expect([submitted.status, submitted.body.owner]).toEqual([202, 'other'])
  })
})

test('a key that has its share of the event streams is refused further ones, and others are not', async () => {
  const { url, key, ledger, makeKey } = await startTestServer()
  const path = `/v1/jobs/${await submitTo(ledger, 1)}/events`
  const open = (apiKey: string) => openEvents({ url, apiKey }, path)
  const mine = await Promise.all(Array.from({ length: STREAMS }, () => open(key)))
  expect(mine.map(({ status }) => status)).toEqual(Array(STREAMS).fill(200))
  let refused = await open(key)
  // One that was cut, as when Redis takes too long on a busy machine, leaves its place.
  while (refused.status === 200 && mine.push(refused) < 2 * STREAMS) refused = await open(key)
  expect([refused.status, refused.headers.get('retry-after'), refused.body]).toMatchObject([
    429,
    '5',
    { code: 'share_taken', detail: expect.stringContaining('50 event streams') },
  ])
  expect((await open((await makeKey({ owner: 'other' })).key)).status).toBe(200)
  // A place is free again as soon as somebody has left; of the one that the other has, a part was ours.
  for (const stream of mine.slice(-2)) stream.close()
  await expect.poll(async () => (await open(key)).status).toBe(200)
})
