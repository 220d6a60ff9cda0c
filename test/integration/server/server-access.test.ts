/** Who may call the server, from where, and how much: every route, the board, and connections that are not nice. */
import { JobReport } from '@muster/contract'
import { describe, expect, test } from 'vitest'
import { rawRequest } from '../../support/server/raw-request.ts'
import { startTestServer } from '../../support/server/server.ts'

/** All routes as Fastify prints them: `GET /v1/jobs`. */
function routesOf(tree: string): Array<{ method: string; path: string }> {
  const trail: string[] = []
  return tree.split('\n').flatMap((line) => {
    const [, indent = '', part = '', methods = ''] = /^([│├└─\s]*)(\S+)(?: \(([A-Z, ]+)\))?/.exec(line) ?? []
    if (part === '') return []
    trail.length = Math.floor(indent.length / 4)
    trail.push(part)
    const path = trail.join('').replace(/:\w+/g, 'x').replace(/\*$/, 'x')
    return methods.split(', ').flatMap((method) => (method === '' ? [] : [{ method, path }]))
  })
}

describe('without a key', () => {
  test('every route but the health routes is refused, whatever it is', async () => {
    const { app, call } = await startTestServer()
    const routes = routesOf(app.printRoutes({ commonPrefix: false }))
    const paths = routes.map(({ path }) => path)
    for (const path of ['/v1/jobs', '/v1/jobs/x/runs/x/output', '/mcp', '/docs', '/openapi.json', '/board', '/livez']) {
      expect(paths.some((known) => known.startsWith(path))).toBe(true)
    }
    expect(routes.length).toBeGreaterThan(40)
    const open = new Set<string>()
    for (const { method, path } of [...routes, { method: 'GET', path: '/nowhere' }]) {
      const { status } = await call(method, path, { headers: { authorization: '' } })
      if (status !== 401) open.add(path)
    }
    expect([...open].toSorted()).toEqual(['/livez', '/readyz'])
  })

  test.each([
    ['no header', ''],
    ['a wrong key', `Bearer mst_first_${'x'.repeat(43)}`],
    ['another scheme', 'Digest x'],
    ['half of Basic', `Basic ${Buffer.from('nobody').toString('base64')}`],
  ])('%s is answered 401 and told how to come in', async (_what, authorization) => {
    const { call } = await startTestServer()
    const answer = await call('GET', '/v1/jobs', { headers: { authorization } })
    expect([answer.status, answer.body.code]).toEqual([401, 'unauthorized'])
    expect(answer.headers.get('www-authenticate')).toMatch(/Basic realm="Muster".*Bearer realm="Muster"/)
  })

  test('the health routes tell that the server is well and nothing else', async () => {
    const { call } = await startTestServer()
    const headers = { authorization: '' }
    expect((await call('GET', '/livez', { headers })).body).toEqual({ status: 'ok' })
    expect((await call('GET', '/readyz', { headers })).body).toEqual({ status: 'ok', redis: 'ok', inventory: 'ok' })
  })
})

describe('the board', () => {
  const basic = (key: string) => ({ authorization: `Basic ${Buffer.from(`anyone:${key}`).toString('base64')}` })

  test('opens in a browser with the key as the password, and shows the tickets of a job', async () => {
    const { call, key } = await startTestServer()
    const { job_id: jobId } = JobReport.parse(
      (await call('POST', '/v1/jobs', { body: { command: 'echo hunter2', targets: 'web[01-03]' } })).body,
    )
    const page = await call('GET', '/board', { headers: basic(key) })
    expect([page.status, page.text]).toEqual([200, expect.stringContaining('<base href="/board/"')])
    const queues = await call('GET', '/board/api/queues?activeQueue=tickets&status=waiting', { headers: basic(key) })
    expect(queues.body).toMatchObject({ queues: [{ name: 'tickets', readOnlyMode: true, counts: { waiting: 3 } }] })
    expect(queues.text).toContain(jobId)
    expect(queues.text).not.toContain('hunter2')
    expect((await call('GET', '/board/api/redis/stats', { headers: basic(key) })).text).not.toMatch(
      /redis_version|"version":"\d/,
    )
  })

  test('refuses to change anything', async () => {
    const { app, call, key, ledger } = await startTestServer()
    await call('POST', '/v1/jobs', { body: { command: 'true', targets: 'web[01-03]' } })
    const [ticket] = await ledger.tickets.getWaiting()
    const writes = routesOf(app.printRoutes({ commonPrefix: false })).filter(
      ({ method, path }) => path.startsWith('/board/api') && !['GET', 'HEAD', 'OPTIONS'].includes(method),
    )
    expect(writes.length).toBeGreaterThan(10)
    const before = await ledger.tickets.getJobCounts()
    for (const { method, path } of writes) {
      const target = path.replace('/queues/x', '/queues/tickets').replace('/x', `/${ticket?.id}`)
      const { status } = await call(method, target, { body: { name: 'x', data: {} }, headers: basic(key) })
      expect([method, target, status]).toEqual([method, target, 405])
    }
    expect(await ledger.tickets.isPaused()).toBe(false)
    expect(await ledger.tickets.getJobCounts()).toEqual(before)
  })
})

test('the documentation page loads nothing from another site', async () => {
  const { call } = await startTestServer()
  const pages = await Promise.all(['/docs', '/docs/static/swagger-initializer.js'].map((path) => call('GET', path)))
  for (const { status, text } of pages) {
    expect(status).toBe(200)
    expect(text).not.toMatch(/(src|href)="https?:|validator\.swagger/)
  }
  expect((await call('GET', '/docs/json')).body).toEqual((await call('GET', '/openapi.json')).body)
})

test('a POST without a content type, sent by hand, is told what is accepted', async () => {
  const { port, key } = await startTestServer()
  const answer = await rawRequest(
    port,
    `POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${key}\r\nContent-Length: 2\r\n` +
      'Connection: close\r\n\r\n{}',
  )
  expect(answer).toMatch(/^HTTP\/1\.1 415 [\s\S]*unsupported_media_type[\s\S]*application\/json/)
})

test('answers carry the headers that keep browsers from guessing, framing and storing', async () => {
  const { call } = await startTestServer()
  for (const path of ['/v1/jobs', '/livez', '/board', '/nowhere']) {
    const { headers } = await call('GET', path)
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('x-frame-options')).toBe('DENY')
    expect(headers.get('cache-control')).toBe('no-store')
    expect(headers.get('x-request-id')).toMatch(/^req_/)
    expect([headers.get('server'), headers.get('x-powered-by'), headers.get('access-control-allow-origin')]).toEqual([
      null,
      null,
      null,
    ])
  }
})
