/** `muster mcp` before a server that runs: what it carries, and what it leaves alone. */
import { createServer } from 'node:http'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { bridged, listenLocally, waitFor } from '../../support/mcp/mcp-bridged.ts'
import { INITIALIZE, MODERN_META, startMcp } from '../../support/mcp/mcp-stdio.ts'
import { connectModernSdk, STDIO_CLIENTS } from '../../support/mcp/mcp-stdio-clients.ts'
import { runStory } from '../../support/mcp/mcp-story.ts'
import { fleetFiles } from '../../support/stack/fleet-files.ts'
import { startStack } from '../../support/stack/stack.ts'

const ListAnswer = z.object({ result: z.object({ tools: z.array(z.object({ name: z.string() })) }) })

describe('muster mcp before a running server', () => {
  test.each(Object.entries(STDIO_CLIENTS))('%s gets the tools that exist over HTTP', async (_name, connect) => {
    const { server, env } = await bridged()
    const overHttp = await server.call('POST', '/mcp', {
      body: { jsonrpc: '2.0', id: 1, method: 'tools/list' },
      headers: { accept: 'application/json, text/event-stream' },
    })
    const client = await connect(env)
    const { tools } = ListAnswer.parse(overHttp.body).result
    expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(tools.map(({ name }) => name))
    const hosts = await client.callTool({ name: 'list_hosts', arguments: { targets: '@web' } })
    expect(hosts.structuredContent).toMatchObject({ total: 12 })
  })

  test.each(['legacy', 'auto'] as const)('the newer SDK finds the generation that it asks for (%s)', async (mode) => {
    const { env } = await bridged()
    expect((await connectModernSdk(env, mode)).getProtocolEra()).toBe(mode === 'auto' ? 'modern' : 'legacy')
  })

  test.each(Object.entries(STDIO_CLIENTS))(
    '%s submits to a group, waits, reads, pages and cancels',
    async (_name, connect) => {
      const { url, apiKey, dataDir } = await startStack(fleetFiles(4))
      await runStory(await connect({ PATH: process.env.PATH, HOME: dataDir, MUSTER_URL: url, MUSTER_API_KEY: apiKey }))
    },
    90_000,
  )

  test('answers requests as they are done, each with its own ID, and goes on after a line that is none', async () => {
    const { server, mcp } = await bridged()
    await mcp.ask('init', INITIALIZE)
    const { body: job } = await server.call('POST', '/v1/jobs', { body: { command: 'x', targets: 'db1' } })
    mcp.send({ id: 'slow', ...waitFor(job.job_id, 2) })
    mcp.write('{"jsonrpc": \n[]\n\n42\n{"jsonrpc":"2.0","id":7,"method":5}\n')
    for (let id = 100; id < 150; id += 1) {
      mcp.send({
        id,
        method: 'tools/call',
        params: { name: 'list_hosts', arguments: { targets: `web[01-${String((id % 12) + 1).padStart(2, '0')}]` } },
      })
    }
    expect((await mcp.answer('slow')).result).toMatchObject({ structuredContent: { job_id: job.job_id } })
    const lines = mcp.lines()
    expect(lines.filter(({ id }) => id === null).map(({ error }) => error?.code)).toEqual([-32700, -32600, -32600])
    expect(lines.find(({ id }) => id === 7)?.error?.code).toBe(-32600)
    for (let id = 100; id < 150; id += 1) {
      expect((await mcp.answer(id)).result).toMatchObject({ structuredContent: { total: (id % 12) + 1 } })
    }
    expect(mcp.lines().filter(({ id }) => typeof id === 'number' && id >= 100)).toHaveLength(50)
  })

  test('takes requests as long as a server does, and tells whoever sent a longer one', async () => {
    const { mcp } = await bridged()
    const list = (id: string, chars: number) =>
      mcp.call(id, 'list_hosts', { targets: 'db1', padding: 'é'.repeat(chars) })
    expect((await list('most', 130_000)).result).toBeDefined()
    for (const [id, chars] of [
      ['more', 131_100],
      ['much', 4_000_000],
    ] as const) {
      expect((await list(id, chars)).result).toMatchObject({
        isError: true,
        content: [{ text: expect.stringMatching(/^The request has \d+ bytes; the limit is 262144/) }],
      })
    }
    mcp.write(`{"jsonrpc":"2.0","id":"no","method":"x","params":"${'x'.repeat(17 * 1024 * 1024)}"}\n`)
    expect((await mcp.answer('no')).error?.message).toMatch(/^a line of \d+ bytes is too long/)
    mcp.write(`{"method":"x","params":{"id":1,"a":"${'x'.repeat(17 * 1024 * 1024)}"},"jsonrpc":"2.0","id":"last"}\n`)
    expect((await mcp.answer('last')).error?.message).toMatch(/^a line of \d+ bytes is too long/)
    expect((await mcp.ask('after', { method: 'tools/list' })).result).toBeDefined()
  })

  test('drops nothing of a request in silence: what a parser would drop is refused under its ID', async () => {
    const { server, mcp } = await bridged()
    const levels = 50_000
    for (const [id, fields, why] of [
      ['proto', '"env":{"__proto__":"x"}', /params\.arguments\.env\.__proto__: is a reserved name/],
      ['twice', '"command":"y"', /params\.arguments\.command: is given twice/],
      ['deep', `"batches":${'['.repeat(levels)}${']'.repeat(levels)}`, /levels deep/],
    ] as const) {
      const given = `{"command":"x","targets":"db1",${fields}}`
      mcp.write(
        `{"jsonrpc":"2.0","id":"${id}","method":"tools/call","params":{"name":"run_command","arguments":${given}}}\n`,
      )
      expect((await mcp.answer(id)).result).toMatchObject({
        isError: true,
        content: [{ text: expect.stringMatching(why) }],
      })
    }
    mcp.write('{"jsonrpc":"2.0","id":"one","id":"two","method":"tools/list"}\n')
    expect((await mcp.answer(null)).error?.message).toBe('id: is given twice; give it once.')
    expect((await server.call('GET', '/v1/jobs')).body.jobs).toEqual([])
  })

  test.each(['legacy', 'modern'])('carries progress before the answer and none after it (%s)', async (era) => {
    const { server, mcp } = await bridged()
    const { body: job } = await server.call('POST', '/v1/jobs', { body: { command: 'x', targets: 'db1' } })
    const wait = waitFor(job.job_id, 12)
    const meta = { progressToken: 'p', ...(era === 'modern' ? MODERN_META : {}) }
    const { result } = await mcp.ask('w', { ...wait, params: { ...wait.params, _meta: meta } })
    expect(result).toMatchObject({ structuredContent: { job_id: job.job_id } })
    await mcp.ask('later', { method: 'tools/list', params: era === 'modern' ? { _meta: MODERN_META } : {} })
    const kinds = mcp.lines().map(({ id, method }) => method ?? id)
    expect(kinds.indexOf('w')).toBeGreaterThan(0)
    expect(kinds.slice(0, kinds.indexOf('w')).every((kind) => kind === 'notifications/progress')).toBe(true)
    expect(kinds.slice(kinds.indexOf('w'))).toEqual(['w', 'later'])
  })

  test('a cancelled request is not answered, its wait ends, and its job goes on', async () => {
    const { server, mcp } = await bridged()
    const { body: job } = await server.call('POST', '/v1/jobs', { body: { command: 'x', targets: 'db1' } })
    mcp.send({ id: 'wait', ...waitFor(job.job_id, 5) })
    await mcp.ask('other', { method: 'tools/list' })
    mcp.send({ method: 'notifications/cancelled', params: { requestId: 'wait' } })
    await mcp.call('longer', 'wait_job', { job_id: job.job_id, wait_s: 7 })
    expect(mcp.lines().map(({ id }) => id)).toEqual(['other', 'longer'])
    expect((await server.call('GET', `/v1/jobs/${job.job_id}`)).body).toMatchObject({ state: 'queued' })
  })

  test('a cancelled request is closed towards the server, and no other', async () => {
    const { env } = await bridged()
    const closed: string[] = []
    const silent = createServer((request, response) => {
      request.setEncoding('utf8').on('data', (text: string) => {
        const { id } = z.object({ id: z.string() }).parse(JSON.parse(text))
        response.once('close', () => closed.push(id))
        if (id === 'last')
          response
            .writeHead(200, { 'content-type': 'application/json' })
            .end('{"jsonrpc":"2.0","id":"last","result":{}}')
      })
    })
    const mcp = startMcp({ ...env, MUSTER_URL: await listenLocally(silent) })
    for (const id of ['a', 'b', 'last']) mcp.send({ id, method: 'tools/list' })
    await mcp.answer('last')
    mcp.send({ method: 'notifications/cancelled', params: { requestId: 'a' } })
    await expect.poll(() => closed).toEqual(['last', 'a'])
  })

  test('hands on what a stream brings, in order, and nothing that comes after the answer', async () => {
    const { env } = await bridged()
    const headers: unknown[] = []
    const progress = (n: number) =>
      `data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":${n}}}\n\n`
    const streaming = createServer((request, response) => {
      headers.push([request.headers['mcp-protocol-version'], request.headers.connection])
      request.setEncoding('utf8').on('data', (text: string) => {
        const { id, method } = z.object({ id: z.number(), method: z.string() }).parse(JSON.parse(text))
        const result = method === 'initialize' ? '{"protocolVersion":"2025-06-18"}' : '{}'
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.end(
          `: hello\n\n${progress(1)}${progress(2)}` +
            `data: {"jsonrpc":"2.0","id":${id},"result":${result}}\n\n${progress(3)}`,
        )
      })
    })
    const mcp = startMcp({ ...env, MUSTER_URL: await listenLocally(streaming) })
    await mcp.ask(1, INITIALIZE)
    await mcp.ask(2, { method: 'tools/list' })
    expect(mcp.lines().map(({ id, params }) => id ?? z.object({ progress: z.number() }).parse(params))).toEqual([
      { progress: 1 },
      { progress: 2 },
      1,
      { progress: 1 },
      { progress: 2 },
      2,
    ])
    // Each on a connection of its own, so that it is known whether a server that has gone can have got it.
    expect(headers).toEqual([
      [undefined, 'close'],
      ['2025-06-18', 'close'],
    ])
  })

  test('prints nothing but JSON-RPC, whatever is logged and whoever prints', async () => {
    const noise = 'setTimeout(()=>setInterval(()=>console.log(`noise`),50).unref(),1500)'
    const { mcp } = await bridged({ LOG_LEVEL: 'trace', NODE_OPTIONS: `--import=data:text/javascript,${noise}` })
    await mcp.ask(1, INITIALIZE)
    await expect.poll(() => mcp.said(), { timeout: 15_000 }).toContain('noise')
    await mcp.call(2, 'list_hosts', {})
    // Reading lines fails on anything else.
    expect(mcp.lines().map(({ id }) => id)).toEqual([1, 2])
    expect(await mcp.end()).toEqual({ status: 0, signal: null })
  })
})
