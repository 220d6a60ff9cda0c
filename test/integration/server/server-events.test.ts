/** Following jobs over server-sent events: real HTTP, a real Redis, and a worker's part played by the test. */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { appendOutput, cancelJob, finishRun, type Ledger } from '@muster/ledger'
import { describe, expect, onTestFinished, test } from 'vitest'
import { claim, ended, exited, start } from '../../support/ledger/held-run.ts'
import { submitTo } from '../../support/ledger/ledger.ts'
import { startCuttingProxy } from '../../support/runtime/cutting-proxy.ts'
import { sharedRedisUrl } from '../../support/runtime/shared-redis.ts'
import { type Block, openEvents } from '../../support/server/event-reader.ts'
import { startTestServer } from '../../support/server/server.ts'

const NO_JOB = `job_${'a'.repeat(26)}`

async function startFollowed() {
  const server = await startTestServer()
  const open = (path: string, headers: Record<string, string> = {}) =>
    openEvents({ url: server.url, apiKey: server.key }, path, headers)
  return { ...server, open }
}

async function print(
  ledger: Ledger,
  claimed: Awaited<ReturnType<typeof claim>>,
  offset: number,
  text: string | Buffer,
) {
  await appendOutput(ledger, claimed, { stream: 'stdout', side: 'head', offset, bytes: Buffer.from(text) })
}

/** What an event is, and where the job or run in it stands. */
function namedState({ event }: Block): unknown[] {
  return [event.event, event.event === 'output' ? undefined : event.data.state]
}

/** The bytes of all `output` events. */
function bytesOf(blocks: readonly Block[]): Buffer {
  return Buffer.concat(
    blocks.map(({ event }) =>
      event.event === 'output' ? Buffer.from(event.data.data, event.data.encoding) : Buffer.alloc(0),
    ),
  )
}

describe('a job that is followed', () => {
  test('is reported at once, at its changes and at its end, and then the stream closes', async () => {
    const { ledger, open } = await startFollowed()
    const jobId = await submitTo(ledger, 2)
    const events = await open(`/v1/jobs/${jobId}/events`)
    expect([events.status, events.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8'])
    expect(events.headers.get('cache-control')).toBe('no-store')
    expect((await events.next())?.event).toMatchObject({ event: 'job', data: { job_id: jobId, state: 'queued' } })
    const first = await start(ledger, jobId, 0)
    for (;;) {
      const { event } = (await events.next()) ?? {}
      expect(event).toMatchObject({ event: 'job', data: { state: 'running' } })
      if (event?.event === 'job' && event.data.counts.running === 1) break
    }
    await finishRun(ledger, first, ended())
    await finishRun(ledger, await start(ledger, jobId, 1), exited(3))
    const rest = await events.rest()
    expect(rest.at(-2)?.event).toMatchObject({ event: 'job', data: { state: 'partial' } })
    expect(rest.at(-1)?.event).toMatchObject({ event: 'end', data: { state: 'partial', counts: { failed: 1 } } })
  })

  test('that has ended is one event and the end', async () => {
    const { ledger, open, call } = await startFollowed()
    const jobId = await submitTo(ledger, 1)
    await cancelJob(ledger, jobId)
    const { body } = await call('GET', `/v1/jobs/${jobId}`)
    const events = await (await open(String(Object(body.links).events))).rest()
    expect(events.map(namedState)).toEqual([
      ['job', 'cancelled'],
      ['end', 'cancelled'],
    ])
  })

  test('that changes a hundred times in a moment is not a hundred events', async () => {
    const { ledger, open } = await startFollowed()
    const jobId = await submitTo(ledger, 100, { concurrency: 100 })
    const events = await open(`/v1/jobs/${jobId}/events`)
    await events.next()
    await Promise.all(Array.from({ length: 100 }, (_, index) => claim(ledger, jobId, index)))
    await cancelJob(ledger, jobId)
    let count = 0
    for (;;) {
      const { event } = (await events.next()) ?? {}
      count += 1
      if (event?.event === 'job' && event.data.state === 'cancelling') break
    }
    expect(count).toBeLessThan(50)
  })
})

describe('a host that is followed', () => {
  test('shows what it prints as it comes, to the last byte, then its run', async () => {
    const { ledger, open } = await startFollowed()
    const jobId = await submitTo(ledger, 1)
    const events = await open(`/v1/jobs/${jobId}/events?host=h0&encoding=base64`)
    const claimed = await start(ledger, jobId, 0)
    const bytes = randomBytes(200_000)
    await print(ledger, claimed, 0, bytes.subarray(0, 10))
    const first = await events.next()
    expect(first).toMatchObject({
      id: expect.stringMatching(/^\d+-10$/),
      event: { event: 'output', data: { offset: 0, next_offset: 10 } },
    })
    await print(ledger, claimed, 10, bytes.subarray(10))
    const stream = { bytes: bytes.length, omittedBytes: 0, tail: Buffer.alloc(0), sha256: 'aa' }
    const stderr = { ...stream, bytes: 0 }
    await finishRun(ledger, claimed, { ...exited(3), output: { stdout: stream, stderr, complete: true, digest: 'd' } })
    const rest = await events.rest()
    expect(bytesOf(first === undefined ? [] : [first, ...rest])).toEqual(bytes)
    expect(rest.at(-1)?.event).toMatchObject({ event: 'end', data: { host: 'h0', state: 'failed', exit_code: 3 } })
  })

  test.each<[string, string, (id: string) => Record<string, string>]>([
    ['the offset in the query', '&offset=4', () => ({})],
    ['Last-Event-ID', '', (id) => ({ 'last-event-id': id })],
    ['Last-Event-ID, which comes before the offset', '&offset=1', (id) => ({ 'last-event-id': id })],
  ])('goes on exactly behind %s', async (_what, query, headersOf) => {
    const { ledger, open } = await startFollowed()
    const jobId = await submitTo(ledger, 1)
    const claimed = await start(ledger, jobId, 0)
    await print(ledger, claimed, 0, '0123')
    const first = await (await open(`/v1/jobs/${jobId}/events?host=h0`)).next()
    await print(ledger, claimed, 4, '456789')
    await finishRun(ledger, claimed, ended())
    const headers = headersOf(first?.id ?? '')
    const rest = await (await open(`/v1/jobs/${jobId}/events?host=h0${query}`, headers)).rest()
    expect(bytesOf(rest).toString()).toBe('456789')
    expect(rest[0]?.event).toMatchObject({ data: { offset: 4, next_offset: 10 } })
  })

  test('starts from the beginning when the command was started again since the last event', async () => {
    const { ledger, open } = await startFollowed()
    const jobId = await submitTo(ledger, 1, { retry_on: [3], retry_backoff_s: 0 })
    const claimed = await start(ledger, jobId, 0)
    await print(ledger, claimed, 0, 'of the first attempt')
    const first = await (await open(`/v1/jobs/${jobId}/events?host=h0`)).next()
    await finishRun(ledger, claimed, exited(3))
    // A start is told from another by its time.
    await new Promise((resolve) => setTimeout(resolve, 5))
    const again = await start(ledger, jobId, 0)
    await print(ledger, again, 0, 'of the second')
    await finishRun(ledger, again, ended())
    const headers = { 'last-event-id': first?.id ?? '' }
    const rest = await (await open(`/v1/jobs/${jobId}/events?host=h0`, headers)).rest()
    expect(bytesOf(rest).toString()).toBe('of the second')
  })

  test('has one stream of its two at a time, and a gap is reported in bytes', async () => {
    const { ledger, open } = await startFollowed()
    const jobId = await submitTo(ledger, 1)
    const claimed = await start(ledger, jobId, 0)
    await appendOutput(ledger, claimed, { stream: 'stderr', side: 'head', offset: 0, bytes: Buffer.from('head') })
    await appendOutput(ledger, claimed, { stream: 'stderr', side: 'tail', offset: 10, bytes: Buffer.from('tail') })
    await finishRun(ledger, claimed, ended())
    const stderr = await (await open(`/v1/jobs/${jobId}/events?host=h0&stream=stderr`)).rest()
    expect(stderr.map(({ event }) => event.data)).toMatchObject([
      { data: 'head', omitted_bytes: 0 },
      { data: 'tail', omitted_bytes: 6, offset: 10 },
      { state: 'succeeded' },
    ])
    expect(await (await open(`/v1/jobs/${jobId}/events?host=h0`)).rest()).toHaveLength(1)
  })

  test('prints no half of a character while the other half may still come', async () => {
    const { ledger, open, call } = await startFollowed()
    const jobId = await submitTo(ledger, 1)
    const claimed = await start(ledger, jobId, 0)
    const bytes = Buffer.from('ä€')
    await print(ledger, claimed, 0, bytes.subarray(0, 3))
    const events = await open(`/v1/jobs/${jobId}/events?host=h0`)
    expect((await events.next())?.event.data).toMatchObject({ data: 'ä', next_offset: 2 })
    // What the follower finds behind it, for as long as nothing more comes.
    const { body } = await call('GET', `/v1/jobs/${jobId}/runs/h0/output?offset=2`)
    expect(body).toMatchObject({ data: '', next_offset: 2, total_bytes: 3 })
    await print(ledger, claimed, 3, bytes.subarray(3))
    await finishRun(ledger, claimed, ended())
    expect(bytesOf(await events.rest()).toString()).toBe('€')
  })

  test('that is tried again is read from the beginning of the new attempt', async () => {
    const { ledger, open } = await startFollowed()
    const jobId = await submitTo(ledger, 1, { retry_on: [75], retry_backoff_s: 0 })
    const first = await start(ledger, jobId, 0)
    const events = await open(`/v1/jobs/${jobId}/events?host=h0`)
    await print(ledger, first, 0, 'first try')
    const one = await events.next()
    await finishRun(ledger, first, exited(75))
    const second = await start(ledger, jobId, 0)
    await print(ledger, second, 0, 'second try, which is longer')
    await finishRun(ledger, second, ended())
    const [two, end] = await events.rest()
    expect(two?.event.data).toMatchObject({ offset: 0, data: 'second try, which is longer' })
    expect(one?.event.data).not.toHaveProperty('started_at', Object(two?.event.data).started_at)
    expect(end?.event.data).toMatchObject({ state: 'succeeded', attempt: 2 })
  })

  test('ends at once when it never ran, or when an offset beyond its end is asked for', async () => {
    const { ledger, open } = await startFollowed()
    const jobId = await submitTo(ledger, 2)
    const claimed = await start(ledger, jobId, 0)
    await print(ledger, claimed, 0, 'abc')
    await finishRun(ledger, claimed, ended())
    await cancelJob(ledger, jobId)
    const beyond = await (await open(`/v1/jobs/${jobId}/events?host=h0&offset=999`)).rest()
    const never = await (await open(`/v1/jobs/${jobId}/events?host=h1`)).rest()
    expect(beyond.map(namedState)).toEqual([['end', 'succeeded']])
    expect(never.map(namedState)).toEqual([['end', 'cancelled']])
  })
})

describe('a stream is refused before it begins', () => {
  test.each([
    ['no job', () => `/v1/jobs/${NO_JOB}/events`, {}, 404, 'not_found'],
    ['what is no job ID', () => '/v1/jobs/job_1/events', {}, 400, 'invalid_request'],
    ['another host', (id: string) => `/v1/jobs/${id}/events?host=web01`, {}, 404, 'not_found'],
    ['no job with a host', () => `/v1/jobs/${NO_JOB}/events?host=h0`, {}, 404, 'not_found'],
    ['no stream', (id: string) => `/v1/jobs/${id}/events?host=h0&stream=stdin`, {}, 400, 'invalid_request'],
    ['a negative offset', (id: string) => `/v1/jobs/${id}/events?host=h0&offset=-1`, {}, 400, 'invalid_request'],
    [
      'an offset that is no number',
      (id: string) => `/v1/jobs/${id}/events?host=h0&offset=x`,
      {},
      400,
      'invalid_request',
    ],
    ['another encoding', (id: string) => `/v1/jobs/${id}/events?host=h0&encoding=hex`, {}, 400, 'invalid_request'],
    ['an unknown field', (id: string) => `/v1/jobs/${id}/events?follow=1`, {}, 400, 'invalid_request'],
    [
      'an ID that is none of ours',
      (id: string) => `/v1/jobs/${id}/events?host=h0`,
      { 'last-event-id': '4; drop' },
      400,
      'invalid_request',
    ],
  ])('%s', async (_what, path, headers, status, code) => {
    const { ledger, open } = await startFollowed()
    const answer = await open(path(await submitTo(ledger, 1)), headers)
    expect([answer.status, answer.body]).toMatchObject([status, { code }])
    expect(answer.headers.get('content-type')).toContain('application/problem+json')
  })

  test('a caller without a key gets no events', async () => {
    const { ledger, url } = await startFollowed()
    expect((await fetch(`${url}/v1/jobs/${await submitTo(ledger, 1)}/events`)).status).toBe(401)
  })
})

describe('a stream that is open', () => {
  test('is not held against a reader who is slow: the server keeps only what the connection takes', async () => {
    const { app, ledger, port, key } = await startFollowed()
    const jobId = await submitTo(ledger, 1)
    const claimed = await start(ledger, jobId, 0)
    const bytes = randomBytes(12 * 1024 * 1024)
    await print(ledger, claimed, 0, bytes)
    await finishRun(ledger, claimed, ended())
    const served = once(app.server, 'connection')
    const reader = connect(port, '127.0.0.1')
    onTestFinished(() => {
      reader.destroy()
    })
    const path = `/v1/jobs/${jobId}/events?host=h0&encoding=base64`
    reader.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${key}\r\nConnection: close\r\n\r\n`)
    reader.pause()
    const [socket]: Socket[] = await served
    const taken = () => socket?.bytesWritten ?? 0
    let last = 0
    const hasSettled = () => {
      const before = last
      last = taken()
      return last > 0 && last === before
    }
    await expect.poll(hasSettled, { interval: 300, timeout: 15_000 }).toBe(true)
    // Base64 makes it 16 MiB, of which the kernel holds some.
    expect(taken()).toBeLessThan(10 * 1024 * 1024)

    let text = ''
    reader.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
    })
    reader.resume()
    await once(reader, 'end')
    const dechunked = text.slice(text.indexOf('\r\n\r\n') + 4).replace(/\r\n[0-9a-f]+\r\n/g, '')
    const pages = [...dechunked.matchAll(/"data":"([^"]*)"/g)].map(([, page = '']) => Buffer.from(page, 'base64'))
    const digest = (all: Buffer) => createHash('sha256').update(all).digest('hex')
    expect(digest(Buffer.concat(pages))).toBe(digest(bytes))
  })

  test('asks for nothing any more when its reader has left, and is closed with the server', async () => {
    const { app, ledger, open, lines } = await startFollowed()
    const jobId = await submitTo(ledger, 1)
    await start(ledger, jobId, 0)
    const left = await open(`/v1/jobs/${jobId}/events?host=h0`)
    const job = await open(`/v1/jobs/${jobId}/events`)
    await job.next()
    expect(ledger.listener().listenerCount('message')).toBe(2)
    left.close()
    await expect.poll(() => ledger.listener().listenerCount('message')).toBe(1)
    const rest = job.rest()
    await app.close()
    expect(await rest).toEqual([])
    expect(ledger.listener().listenerCount('message')).toBe(0)
    expect(lines.filter((line) => line.includes('was cut'))).toEqual([])
  })

  test('is not opened for a caller who wants the headers only', async () => {
    const { ledger, url, key } = await startFollowed()
    const jobId = await submitTo(ledger, 1)
    const headers = { authorization: `Bearer ${key}` }
    const answer = await fetch(`${url}/v1/jobs/${jobId}/events`, { method: 'HEAD', headers })
    expect([answer.status, await answer.text()]).toEqual([200, ''])
    await expect.poll(() => ledger.listener().listenerCount('message')).toBe(0)
  })

  test('is cut when Redis goes away, and goes on from its offset when it is back', async () => {
    const proxy = await startCuttingProxy(sharedRedisUrl())
    const server = await startTestServer({ redisUrl: proxy.url })
    const open = (path: string, headers: Record<string, string> = {}) =>
      openEvents({ url: server.url, apiKey: server.key }, path, headers)
    const jobId = await submitTo(server.ledger, 1)
    const claimed = await start(server.ledger, jobId, 0)
    await print(server.ledger, claimed, 0, 'before ')
    const path = `/v1/jobs/${jobId}/events?host=h0`
    const events = await open(path)
    const first = await events.next()
    expect(first?.id).toMatch(/^\d+-7$/)
    proxy.setAway(true)
    await expect(events.rest()).rejects.toThrow()
    expect((await open(path)).status).toBe(503)
    expect(server.lines.some((line) => line.includes('was cut'))).toBe(true)

    proxy.setAway(false)
    await expect.poll(async () => (await server.call('GET', '/readyz')).status, { timeout: 15_000 }).toBe(200)
    await print(server.ledger, claimed, 7, 'after')
    await finishRun(server.ledger, claimed, ended())
    const rest = await (await open(path, { 'last-event-id': first?.id ?? '' })).rest()
    expect(bytesOf(rest).toString()).toBe('after')
    expect(rest.at(-1)?.event.event).toBe('end')
  })
})
