/** A server behind a proxy: whose X-Forwarded-* headers are believed, and when a server starts at all. */
import { BlockList } from 'node:net'
import { describe, expect, test } from 'vitest'
import { isIn, readNetworks } from '../../../../apps/server/src/http/networks.ts'
import { rawRequest, rawText, readAnswer } from '../../../support/server/raw-request.ts'
import { startTestServer, temporaryDataDir } from '../../../support/server/server.ts'
import { startServerProcess } from '../../../support/server/server-process.ts'

type Server = Awaited<ReturnType<typeof startTestServer>>

function networks(list: string): BlockList {
  const read = readNetworks(list)
  return 'networks' in read ? read.networks : new BlockList()
}

/** A server that believes a proxy on this computer, or one elsewhere. */
const startBehind = (list: string) =>
  startTestServer({ allowedHosts: ['muster.example'], trustedProxies: networks(list) })

async function ask(server: Server, lines: readonly string[], target = '/v1/jobs') {
  const head = [`Authorization: Bearer ${server.key}`, ...lines]
  const { status, problem } = readAnswer(await rawRequest(server.port, rawText(`GET ${target} HTTP/1.1`, head)))
  return { status, code: problem?.code, field: problem?.field }
}

/** The address of the caller that the log has of the last request. */
const lastClient = ({ lines }: Server) =>
  /"client":"([^"]*)"/.exec(lines.findLast((line) => line.includes('"client"')) ?? '')?.[1]

const FORWARDED = ['X-Forwarded-Proto: https', 'X-Forwarded-Host: muster.example:8443']
const ORIGIN = 'Origin: https://muster.example:8443'

describe('a proxy that is named', () => {
  test('says under which name, scheme and port the caller came', async () => {
    const server = await startBehind('127.0.0.1')
    const upstream = 'Host: upstream.internal'
    expect((await ask(server, [upstream, ...FORWARDED, ORIGIN])).status).toBe(200)
    expect((await ask(server, [upstream, ...FORWARDED, 'Origin: https://muster.example'])).status).toBe(200)
    for (const origin of ['http://muster.example:8443', 'https://muster.example:9443', 'http://upstream.internal']) {
      const { status, field } = await ask(server, [upstream, ...FORWARDED, `Origin: ${origin}`])
      expect([origin, status, field]).toEqual([origin, 403, 'Origin'])
    }
    const port = ['X-Forwarded-Proto: https', 'X-Forwarded-Host: muster.example', 'X-Forwarded-Port: 8443']
    expect((await ask(server, [upstream, ...port, ORIGIN])).status).toBe(200)
  })

  test('does not make any name ours', async () => {
    const server = await startBehind('127.0.0.0/8')
    const { status, field } = await ask(server, ['Host: localhost', 'X-Forwarded-Host: evil.example'])
    expect([status, field]).toEqual([403, 'Host'])
  })

  test('is believed for what it added itself, at the end, and not for what a caller sent to it', async () => {
    const server = await startBehind('127.0.0.1, 10.0.0.0/8, 2001:db8::/32')
    const host = 'Host: localhost'
    for (const [header, client] of [
      ['X-Forwarded-For: 198.51.100.7', '198.51.100.7'],
      ['X-Forwarded-For: 203.0.113.1, 198.51.100.7', '198.51.100.7'],
      ['X-Forwarded-For: 203.0.113.1, 198.51.100.7, 10.1.2.3, 2001:db8::5', '198.51.100.7'],
      ['X-Forwarded-For: 203.0.113.1\r\nX-Forwarded-For: 198.51.100.7', '198.51.100.7'],
      ['X-Forwarded-For: ::ffff:10.9.9.9', '127.0.0.1'],
      ['X-Forwarded-For: 198.51.100.7, nonsense', '127.0.0.1'],
      ['X-Forwarded-For: ', '127.0.0.1'],
      ['X-Real-IP: 198.51.100.7', '127.0.0.1'],
      ['Forwarded: for=198.51.100.7', '127.0.0.1'],
    ] as const) {
      await ask(server, [host, header])
      expect([header, lastClient(server)]).toEqual([header, client])
    }
    const twice = ['X-Forwarded-Host: evil.example, localhost:7420', 'X-Forwarded-Proto: https, http']
    expect((await ask(server, [host, ...twice, 'Origin: http://localhost:7420'])).status).toBe(200)
  })

  test.each([
    ['X-Forwarded-Proto', 'ftp'],
    ['X-Forwarded-Host', 'evil@localhost'],
    ['X-Forwarded-Host', 'localhost/x'],
    ['X-Forwarded-Host', 'localhost:99999'],
  ])('that says what cannot be (%s: %s) is told so', async (name, value) => {
    const server = await startBehind('127.0.0.1')
    const { status, code, field } = await ask(server, ['Host: localhost', `${name}: ${value}`])
    expect([status, code, field]).toEqual([400, 'invalid_request', name])
    expect(server.lines.filter((line) => /"level":(50|60)/.test(line))).toEqual([])
  })
})

test('what a proxy says of a health check is of no matter', async () => {
  const server = await startBehind('127.0.0.1')
  for (const said of ['X-Forwarded-Proto: gopher', 'X-Forwarded-Host: a@b', 'X-Forwarded-Port: x']) {
    for (const target of ['/livez', '/readyz']) {
      expect([said, (await ask(server, ['Host: 10.0.0.1', said], target)).status]).toEqual([said, 200])
    }
    const odd = await ask(server, ['Host: localhost', said, 'X-Forwarded-Host: a@b', 'Origin: http://a'], '/livez')
    expect([said, odd.status]).toEqual([said, 400])
  }
})

test('nobody else is believed', async () => {
  for (const server of [await startBehind('10.0.0.0/8'), await startTestServer({ allowedHosts: ['muster.example'] })]) {
    const { status, field } = await ask(server, ['Host: localhost', ...FORWARDED, ORIGIN])
    expect([status, field]).toEqual([403, 'Origin'])
    expect((await ask(server, ['Host: evil.example', 'X-Forwarded-Host: localhost'])).status).toBe(403)
    expect((await ask(server, ['Host: localhost', 'X-Forwarded-Host: evil.example'])).status).toBe(200)
    await ask(server, ['Host: localhost', 'X-Forwarded-For: 198.51.100.7'])
    expect(lastClient(server)).toBe('127.0.0.1')
  }
})

describe('a list of proxies', () => {
  test.each([
    ['10.0.0.5', '10.0.0.5', '10.0.0.6'],
    ['10.0.0.0/8 , fd00::/8', 'fd12::1', 'fe00::1'],
    ['192.0.2.0/24', '::ffff:192.0.2.77', '::ffff:192.0.3.1'],
    ['fe80::/10', 'fe80::1%eth0', 'fec0::1'],
    ['::1', '::1', '127.0.0.1'],
    ['fc00::/7', 'fd00::1', 'fe00::1'],
    ['::ffff:10.0.0.0/104', '10.9.9.9', '11.0.0.1'],
    ['64:ff9b::/96', '64:ff9b::1', '10.0.0.1'],
  ])('%s holds %s and not %s', (list, inside, outside) => {
    expect([isIn(networks(list), inside), isIn(networks(list), outside)]).toEqual([true, false])
  })

  test.each([
    '',
    'proxy.internal',
    '10.0.0.0/33',
    '10.0.0/8',
    '0.0.0.0/0',
    '::/0',
    '0.0.0.0/1,128.0.0.0/1',
    '128.0.0.0/7',
    '::/1,8000::/1',
    'fc00::/6',
    '::/8',
    '::ffff:0:0/96',
    '::ffff:0.0.0.0/97,::ffff:128.0.0.0/97',
    '::fffe:0:0/95',
    '10.0.0.5,',
    '*',
    '10.0.0.5 10.0.0.6',
    '::1/129',
  ])('"%s" is none', (list) => {
    expect(readNetworks(list)).toEqual({ accepted: expect.stringMatching(/"/) })
  })
})

describe('a server that others can reach', () => {
  const start = async (env: Record<string, string>) => {
    const prefix = `test-${crypto.randomUUID()}`
    const { child, said } = await startServerProcess(await temporaryDataDir(), { MUSTER_PREFIX: prefix, ...env })
    return { status: child.exitCode, log: said.log }
  }

  test.each([
    '0.0.0.0',
    '::',
    '::ffff:0.0.0.0',
    '::ffff:10.0.0.1',
    '10.0.0.1',
    '0',
    '127.1',
    'muster.example',
    'localhost.',
  ])('at %s does not start without TLS, and says what to do', async (host) => {
    const { status, log } = await start({ MUSTER_HOST: host })
    expect([host, status]).toEqual([host, 2])
    expect(log).toMatch(
      /MUSTER_HOST: received ".*"; accepted: a loopback address.*MUSTER_TLS_CERT_FILE.*MUSTER_BEHIND_PROXY=1/,
    )
  })

  test('starts behind a proxy, and says that only the proxy may reach it', async () => {
    const { log } = await start({
      MUSTER_HOST: '0.0.0.0',
      MUSTER_BEHIND_PROXY: '1',
      MUSTER_TRUSTED_PROXIES: '10.0.0.0/8',
    })
    expect(log).toContain('"msg":"ready"')
    expect(log).toContain('only its proxy should be able to reach it')
  })

  test('believes nobody unless it is behind a proxy, and never everybody', async () => {
    const alone = await start({ MUSTER_TRUSTED_PROXIES: '10.0.0.5' })
    expect([alone.status, alone.log]).toEqual([
      2,
      expect.stringMatching(/MUSTER_BEHIND_PROXY: .*accepted: 1, since MUSTER_TRUSTED_PROXIES/),
    ])
    const all = await start({ MUSTER_BEHIND_PROXY: '1', MUSTER_TRUSTED_PROXIES: '0.0.0.0/0' })
    expect([all.status, all.log]).toEqual([
      2,
      expect.stringMatching(/MUSTER_TRUSTED_PROXIES: received "0\.0\.0\.0\/0".*everybody/),
    ])
    expect((await start({ MUSTER_BEHIND_PROXY: 'maybe' })).log).toMatch(
      /MUSTER_BEHIND_PROXY: received "maybe"; accepted: true or false/,
    )
  })

  test.each(['127.0.0.1', 'localhost', '127.9.9.9', '::ffff:127.0.0.1'])(
    'at %s nobody can, so it starts',
    async (host) => {
      expect((await start({ MUSTER_HOST: host })).log).toContain('"msg":"ready"')
    },
  )
})
