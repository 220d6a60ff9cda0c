/** From where a browser may call the server, and under which name: Host, Origin, Sec-Fetch-Site, as bytes. */
import { describe, expect, test } from 'vitest'
import { rawRequest, rawText, readAnswer } from '../../../support/server/raw-request.ts'
import { startTestServer } from '../../../support/server/server.ts'

type Server = Awaited<ReturnType<typeof startTestServer>>

const AS_BEARER = ({ key }: Server) => `Authorization: Bearer ${key}`
const AS_BROWSER = ({ key }: Server) => `Authorization: Basic ${Buffer.from(`me:${key}`).toString('base64')}`

async function get(
  server: Server,
  lines: readonly string[],
  { target = '/v1/jobs', version = '1.1', as = AS_BEARER } = {},
) {
  const { status, problem } = readAnswer(
    await rawRequest(server.port, rawText(`GET ${target} HTTP/${version}`, [...lines, as(server)])),
  )
  expect(server.lines.filter((line) => /"level":(50|60)/.test(line))).toEqual([])
  return { status, code: problem?.code, field: problem?.field, detail: problem?.detail ?? '' }
}

describe('the Host', () => {
  test.each([
    ['another name', 'evil.example'],
    ['a name that begins with ours', '127.0.0.1.evil.example'],
    ['a trailing dot', 'localhost.'],
    ['a short form of the address', '127.1'],
    ['the address as a number', '2130706433'],
    ['an address in IPv6', '[::ffff:10.0.0.1]'],
    ['all addresses', '0.0.0.0'],
    ['an allowed name with more in front', 'x.muster.example'],
  ])('with %s is refused', async (_what, host) => {
    const server = await startTestServer({ allowedHosts: ['muster.example'] })
    const { status, code, field, detail } = await get(server, [`Host: ${host}`])
    expect([status, code, field]).toEqual([403, 'forbidden_origin', 'Host'])
    expect(detail).toContain(JSON.stringify(host))
  })

  test.each([
    ['nothing', ''],
    ['a user', 'localhost@evil.example'],
    ['a user before our name', 'evil.example@localhost'],
    ['a path', 'localhost/x'],
    ['two names', 'localhost, evil.example'],
    ['a port that cannot be', 'localhost:99999'],
    ['a port that is none', 'localhost:http'],
    ['an address that cannot be', '127.0.0.999'],
    ['half an address', '[::1'],
    ['a blank', 'local host'],
    ['a scheme', 'http://localhost'],
  ])('with %s is no Host, and is refused as that', async (_what, host) => {
    const server = await startTestServer()
    for (const origin of [[], ['Origin: http://localhost']]) {
      const { status, code, field } = await get(server, [`Host: ${host}`, ...origin])
      expect([status, code, field]).toEqual([400, 'invalid_request', 'Host'])
    }
  })

  test.each([
    'localhost',
    '127.0.0.1:7420',
    '127.8.9.10',
    '[::ffff:127.0.0.1]',
    '[::1]:7420',
    'LocalHost:80',
    'Muster.Example:443',
  ])('%s is taken', async (host) => {
    const server = await startTestServer({ allowedHosts: ['muster.example'] })
    expect((await get(server, [`Host: ${host}`])).status).toBe(200)
  })

  test('that is missing is refused in words', async () => {
    const server = await startTestServer()
    for (const version of ['1.1', '1.0']) {
      const { status, code, field } = await get(server, [], { version })
      expect([status, code, field]).toEqual([400, 'invalid_request', 'Host'])
    }
  })

  test('of a request for a whole address is not believed, and neither is the address', async () => {
    const server = await startTestServer()
    for (const target of [
      'http://evil.example/v1/jobs',
      'http://localhost/v1/jobs',
      'https://u:p@localhost/v1/jobs',
      '*',
    ]) {
      const { status, code, detail } = await get(server, ['Host: localhost'], { target })
      expect([target, status, code, detail]).toEqual([target, 400, 'invalid_request', expect.stringMatching(/path/)])
    }
  })

  test('does not matter to the health routes: a load balancer asks by an address or a name of its own', async () => {
    const server = await startTestServer()
    for (const target of ['/livez', '/readyz', '/livez/']) {
      for (const host of ['Host: 10.1.2.3:9000', 'Host: lb.internal', 'Host: ', 'Host: my_service.ns.svc:80']) {
        expect([host, (await get(server, [host], { target })).status]).toEqual([host, 200])
      }
      expect((await get(server, [], { target, version: '1.0' })).status).toBe(200)
    }
    for (const target of ['/livezz', '/v1/jobs?x=/livez', '//livez', '/livez/../v1/jobs']) {
      expect([target, (await get(server, ['Host: lb.internal'], { target })).status]).toEqual([target, 403])
    }
  })
})

describe('a header that must be given once', () => {
  test.each([
    ['Host', ['Host: evil.example']],
    ['Host, in other letters and the same value', ['HOST: localhost']],
    ['Origin', ['Origin: http://localhost', 'Origin: http://evil.example']],
    ['Authorization', ['Authorization: Bearer mst_other']],
    ['Content-Type', ['Content-Type: application/json', 'Content-Type: text/plain']],
    ['Sec-Fetch-Site', ['Sec-Fetch-Site: same-origin', 'Sec-Fetch-Site: cross-site']],
    ['Mcp-Method', ['Mcp-Method: tools/list', 'Mcp-Method: tools/call']],
    ['Idempotency-Key', ['Idempotency-Key: a', 'Idempotency-Key: b']],
  ])('%s is refused when it is given twice, and named', async (name, lines) => {
    const server = await startTestServer()
    const { status, code, field, detail } = await get(server, ['Host: localhost', ...lines])
    expect([status, code, field]).toEqual([400, 'invalid_request', name.split(',')[0]])
    expect(detail).toMatch(/given 2 times/)
    expect(detail).not.toContain('mst_other')
  })
})

test('a header cannot hide behind many others', async () => {
  const server = await startTestServer()
  const many = Array.from({ length: 1_500 }, () => 'a: 1')
  expect((await get(server, ['Host: localhost', ...many])).status).toBe(200)
  expect((await get(server, ['Host: localhost', ...many, 'Host: evil.example'])).status).toBe(400)
  expect((await get(server, ['Host: localhost', ...many, 'Origin: http://evil.example'])).status).toBe(403)
})

describe('what is no request', () => {
  test.each([
    ['a header without a colon', 'GET /v1/jobs HTTP/1.1\r\nHost localhost\r\n\r\n', 400],
    ['another protocol', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
    ['two lengths', 'POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', 400],
    ['a length and pieces', 'POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n', 400],
    ['a folded header', 'GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\n evil.example\r\n\r\n', 400],
    ['headers without an end', `GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
  ])('%s is refused as a problem', async (_what, bytes, expected) => {
    const server = await startTestServer()
    const { status, problem } = readAnswer(await rawRequest(server.port, bytes))
    expect([status, problem?.status, problem?.code]).toEqual([expected, expected, 'invalid_request'])
    expect(problem?.detail).toMatch(/^the request cannot be read: /)
  })
})

describe('the header that makes a request unreadable is named, and its value is not', () => {
  const start = 'POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\n'
  test.each([
    ['Content-Length', 'Content-Length: 1\r\nContent-Length: 2', 400, /Duplicate Content-Length/],
    ['Transfer-Encoding', 'Content-Length: 1\r\nTransfer-Encoding: chunked', 400, /can't be present with/],
    ['Content-Length', 'Transfer-Encoding: chunked\r\nContent-Length: 1', 400, /can't be present with/],
    ['Content-Length', 'Content-Length: s3cret', 400, /Invalid character in Content-Length/],
    ['Authorization', 'Authorization: Bearer s3\u0001cret', 400, /^the request cannot be read: Authorization: Invalid/],
    ['X-Two', 'X-One: a\r\nX-Two: s3\u007fcret', 400, /^the request cannot be read: X-Two: Invalid/],
    [undefined, 'X-\u0001Bad: s3cret', 400, /Invalid header token/],
    ['Expect', 'Expect: 200-ok', 417, /received "200-ok"; accepted: 100-continue/],
  ])('%s in %j', async (name, lines, expected, told) => {
    const server = await startTestServer()
    const answer = await rawRequest(server.port, `${start}${lines}\r\n\r\n`)
    const { status, problem } = readAnswer(answer)
    expect([status, problem?.status, problem?.field]).toEqual([expected, expected, name])
    expect(problem?.detail).toMatch(told)
    expect(answer).not.toMatch(/s3|cret/)
  })
})

describe('the Origin', () => {
  test.each([
    ['another site', 'https://evil.example'],
    ['no site', 'null'],
    ['nothing', ''],
    ['another port', 'http://127.0.0.1:7421'],
    ['no port where ours is named', 'http://127.0.0.1'],
    ['another name of this computer', 'http://localhost:7420'],
    ['another address of this computer', 'http://[::1]:7420'],
    ['another scheme', 'https://127.0.0.1:7420'],
    ['a scheme of an extension', 'chrome-extension://127.0.0.1:7420'],
    ['a user', 'http://me@127.0.0.1:7420'],
    ['a path', 'http://127.0.0.1:7420/'],
    ['a query', 'http://127.0.0.1:7420?x'],
    ['a trailing dot', 'http://127.0.0.1.:7420'],
    ['a short form of the address', 'http://127.1:7420'],
    ['a blank before it', 'http:// 127.0.0.1:7420'],
    ['two sites in one', 'http://127.0.0.1:7420 http://evil.example'],
    ['two sites with a comma', 'http://127.0.0.1:7420, http://evil.example'],
    ['an allowed name on another port', 'https://muster.example:8443'],
    ['an allowed name without TLS', 'http://muster.example'],
    ['a name below an allowed one', 'https://x.muster.example'],
    ['an allowed name with a trailing dot', 'https://muster.example.'],
    ['what is no address', 'http://127.0.0.1:99999'],
  ])('%s may not call, whatever the route', async (_what, origin) => {
    const server = await startTestServer({ allowedHosts: ['muster.example'] })
    for (const target of ['/v1/jobs', '/livez', '/mcp', '/board', '/docs', '/nowhere']) {
      const { status, code, field } = await get(server, ['Host: 127.0.0.1:7420', `Origin: ${origin}`], { target })
      expect([target, status, code, field]).toEqual([target, 403, 'forbidden_origin', 'Origin'])
    }
  })

  test.each([
    ['our own', '127.0.0.1:7420', 'http://127.0.0.1:7420'],
    ['our own, in other letters', 'LocalHost:7420', 'HTTP://LOCALHOST:7420'],
    ['our own, with the port that goes without saying', 'localhost', 'http://localhost:80'],
    ['our own, with that port in the Host', 'localhost:80', 'http://localhost'],
    ['our own, by IPv6', '[::1]:7420', 'http://[::1]:7420'],
    ['an allowed name, by TLS, as behind a proxy', '127.0.0.1:7420', 'https://muster.example'],
    ['the same with its port', '127.0.0.1:7420', 'https://muster.example:443'],
    ['an allowed name that is the Host', 'muster.example:8080', 'http://muster.example:8080'],
  ])('%s may call', async (_what, host, origin) => {
    const server = await startTestServer({ allowedHosts: ['muster.example'] })
    expect((await get(server, [`Host: ${host}`, `Origin: ${origin}`])).status).toBe(200)
  })

  test('is refused with what would be accepted', async () => {
    const server = await startTestServer()
    const { detail } = await get(server, ['Host: 127.0.0.1:7420', 'Origin: http://127.0.0.1:3000'])
    expect(detail).toMatch(/"http:\/\/127\.0\.0\.1:3000".*http:\/\/127\.0\.0\.1:7420/)
  })
})

describe('a password that a browser sends by itself', () => {
  test.each(['cross-site', 'same-site', 'Same-Origin', 'nonsense', '', 'same-origin, none'])(
    'is not taken when the request comes from a page that is %s',
    async (site) => {
      const server = await startTestServer()
      for (const target of ['/v1/jobs', '/board', '/docs', '/openapi.json']) {
        const lines = ['Host: localhost', `Sec-Fetch-Site: ${site}`]
        const { status, code, field } = await get(server, lines, { target, as: AS_BROWSER })
        expect([target, status, code, field]).toEqual([target, 403, 'forbidden_origin', 'Sec-Fetch-Site'])
      }
    },
  )

  test.each(['same-origin', 'none'])(
    'is taken when it is %s, and when no browser says where it comes from',
    async (site) => {
      const server = await startTestServer()
      for (const lines of [[`Sec-Fetch-Site: ${site}`], []]) {
        for (const target of ['/v1/jobs', '/board', '/docs']) {
          const { status } = await get(server, ['Host: localhost', ...lines], { target, as: AS_BROWSER })
          expect([target, status]).toEqual([target, 200])
        }
      }
    },
  )

  test('is told from a key that only a program sends', async () => {
    const server = await startTestServer()
    expect((await get(server, ['Host: localhost', 'Sec-Fetch-Site: cross-site'])).status).toBe(200)
    const lower = (one: Server) => AS_BROWSER(one).replace('Basic', 'bASIC ')
    expect((await get(server, ['Host: localhost', 'Sec-Fetch-Site: cross-site'], { as: lower })).status).toBe(403)
  })
})
