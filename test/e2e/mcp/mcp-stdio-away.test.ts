/** `muster mcp` when an end of it goes: a server that is away, refuses or breaks off, and a client that has ended. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { freePort } from '@muster/runtime'
import { describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { bridged, listenLocally, waitFor } from '../../support/mcp/mcp-bridged.ts'
import { INITIALIZE, MODERN_META, MUSTER, sparseEnv, startMcp } from '../../support/mcp/mcp-stdio.ts'
import { apart } from '../../support/runtime/apart.ts'
import { fleetFiles } from '../../support/stack/fleet-files.ts'
import { startStack } from '../../support/stack/stack.ts'

describe('muster mcp before a server that is away', () => {
  test('tells every request at once, a tool call as models see it, and goes on when the server is back', async () => {
    const port = await freePort()
    const mcp = startMcp({
      PATH: process.env.PATH,
      HOME: '/nonexistent',
      MUSTER_URL: `http://127.0.0.1:${port}`,
      MUSTER_API_KEY: 'mst_x_y',
    })
    const advice = /^No Muster server answers at .* \(connect ECONNREFUSED .*The call was not sent\. Start the server/
    expect((await mcp.ask(1, INITIALIZE)).error?.message).toMatch(advice)
    const text = { type: 'text', text: expect.stringMatching(advice) }
    expect((await mcp.call(2, 'run_command', {})).result).toEqual({ isError: true, content: [text] })
    const params = { name: 'run_command', arguments: {}, _meta: MODERN_META }
    const modern = await mcp.ask(3, { method: 'tools/call', params })
    expect(modern.result).toEqual({ resultType: 'complete', isError: true, content: [text] })

    const back = createServer((_request, response) => {
      response.setHeader('content-type', 'application/json')
      response.end('{"jsonrpc":"2.0","id":4,"result":{"is":"back"}}')
    })
    back.listen(port, '127.0.0.1')
    onTestFinished(() => void back.close())
    expect((await mcp.ask(4, { method: 'tools/list' })).result).toEqual({ is: 'back' })
  })

  test('that cannot be started says what of ~/.muster has moved, and nothing of the working directory', async () => {
    const env = await sparseEnv()
    await mkdir(join(env.HOME, '.muster'), { mode: 0o700 })
    await writeFile(join(env.HOME, '.muster/inventory.yaml'), 'hosts:\n  a: { address: 192.0.2.1 }\n')
    const mcp = startMcp({ ...env, REDIS_URL: 'redis://127.0.0.1:1' })
    const { error } = await mcp.ask(1, INITIALIZE)
    expect(error?.message).toMatch(/\nno longer used where they are: .*\.muster\/inventory\.yaml\. .* && mv -n /)
  })

  test('goes on through a restart of a real server, with the same job', async () => {
    const stack = await startStack({ ...fleetFiles(1), env: { MUSTER_PORT: String(await freePort()) } })
    const mcp = startMcp({
      PATH: process.env.PATH,
      HOME: stack.dataDir,
      MUSTER_URL: stack.url,
      MUSTER_API_KEY: stack.apiKey,
    })
    const run = { targets: '@web', command: 'true', wait_s: 20 }
    const submitted = (await mcp.call(1, 'run_command', run)).result?.structuredContent
    const { job_id } = z.looseObject({ job_id: z.string() }).parse(submitted)
    await stack.restartServer()
    expect((await mcp.call(2, 'get_job', { job_id })).result).toMatchObject({
      structuredContent: { state: 'succeeded' },
    })
  })

  test('a key that is refused is reported with what to do, and so is an answer of something else', async () => {
    const { env } = await bridged()
    const refused = startMcp({ ...env, MUSTER_API_KEY: `mst_first_${'x'.repeat(43)}` })
    expect((await refused.ask(1, INITIALIZE)).error?.message).toMatch(
      /refused the call: the API key is unknown[a-z ]* \(unauthorized\)\. Set MUSTER_API_KEY/,
    )
    const other = createServer((_request, response) => response.writeHead(404).end('<h1>hello</h1>'))
    const lost = startMcp({ ...env, MUSTER_URL: await listenLocally(other) })
    expect((await lost.ask(1, INITIALIZE)).error?.message).toMatch(/answered 404, but not as a Muster server would/)
    const none = startMcp({ ...env, MUSTER_API_KEY: '', HOME: '/nonexistent' })
    expect((await none.ask(1, INITIALIZE)).error?.message).toMatch(/^no API key for .*: set MUSTER_API_KEY/)
    const wrong = startMcp({ ...env, MUSTER_URL: 'not a url' })
    expect((await wrong.ask(1, INITIALIZE)).error?.message).toMatch(/MUSTER_URL: received "not a url"/)
  })

  test('a call whose answer was lost is sent once, and its answer says that it may have happened', async () => {
    const { env, server } = await bridged()
    let calls = 0
    const cutting = createServer((request, response) => {
      if (request.method === 'GET') response.end('{"status":"ok"}')
      else calls += 1
      if (request.method === 'POST') request.on('data', () => request.destroy())
    })
    // Found by its file, so that there is another way to go.
    await writeFile(join(server.dataDir, 'server.json'), JSON.stringify({ url: await listenLocally(cutting), pid: 1 }))
    const mcp = startMcp({ ...env, MUSTER_URL: '', MUSTER_DATA_DIR: server.dataDir })
    const { result } = await mcp.call(1, 'run_command', { command: 'date', targets: 'db1' })
    expect(result).toMatchObject({ isError: true })
    expect(JSON.stringify(result)).toMatch(/may have been carried out\. Look with list_jobs/)
    expect(calls).toBe(1)
  })
})

describe('the end of muster mcp', () => {
  test.each(['stdin', 'stdout', 'SIGTERM'])(
    'comes with the end of the client (%s), whatever is in flight',
    async (how) => {
      const { server, mcp } = await bridged()
      const { body: job } = await server.call('POST', '/v1/jobs', { body: { command: 'x', targets: 'db1' } })
      await mcp.ask(1, INITIALIZE)
      mcp.send({ id: 'wait', ...waitFor(job.job_id) })
      await mcp.ask(2, { method: 'tools/list' })
      if (how === 'stdin') mcp.child.stdin.end()
      if (how === 'SIGTERM') mcp.child.kill('SIGTERM')
      if (how === 'stdout') {
        mcp.child.stdout.destroy()
        mcp.send({ id: 3, method: 'tools/list' })
      }
      await mcp.closed
      expect(mcp.child.exitCode).toBe(0)
      expect(mcp.said()).not.toMatch(/Error|EPIPE/)
    },
  )

  test('comes with the end of a file', async () => {
    const child = spawn(process.execPath, [MUSTER, 'mcp'], {
      env: apart({ PATH: process.env.PATH, MUSTER_URL: 'http://127.0.0.1:7420', MUSTER_API_KEY: 'mst_x_y' }),
      stdio: 'ignore',
    })
    await once(child, 'exit')
    expect(child.exitCode).toBe(0)
  })

  test('gives what is in flight a short time for its answer', async () => {
    const { env } = await bridged()
    const slow = createServer()
    let answerNow = () => {}
    const waiting = new Promise<void>((arrived) => {
      slow.on('request', (_request, response) => {
        answerNow = () => response.end('{"jsonrpc":"2.0","id":1,"result":{}}')
        response.setHeader('content-type', 'application/json')
        arrived()
      })
    })
    const mcp = startMcp({ ...env, MUSTER_URL: await listenLocally(slow) })
    mcp.send({ id: 1, method: 'tools/list' })
    await waiting
    const end = mcp.end()
    setTimeout(answerNow, 300)
    expect(await end).toEqual({ status: 0, signal: null })
    expect(mcp.lines()).toEqual([{ jsonrpc: '2.0', id: 1, result: {} }])
  })
})
