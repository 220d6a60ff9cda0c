/**
 * Servers that hang, lie and leave before anything could be run on them. Whatever they do, there is an answer in time,
 * and it has the right reason.
 */
import type { Socket } from 'node:net'
import { fixedKnownHosts, type SshHost } from '@muster/ssh'
import ssh2, { type AuthContext } from 'ssh2'
import { describe, expect, inject, test } from 'vitest'
import { dialOdd, HOST_KEY, listen, serve } from '../../../support/ssh/odd-server.ts'
import { dial, sshdHost } from '../../../support/ssh/ssh.ts'

const BANNER = 'SSH-2.0-OpenSSH_9.2\r\n'

describe('before the log-in, a server that', () => {
  test.each<[string, (socket: Socket) => void, string, RegExp]>([
    ['says nothing', () => {}, 'conn_timeout', /waiting for the SSH handshake.*limit 0\.3 s/],
    ['says nothing after its banner', (s) => s.write(BANNER), 'conn_timeout', /waiting for the SSH handshake/],
    ['closes at once', (s) => s.end(), 'conn_refused', /closed the connection/],
    ['resets at once', (s) => s.resetAndDestroy(), 'conn_refused', /ECONNRESET/],
    ['closes after its banner', (s) => s.end(BANNER), 'conn_refused', /closed the connection/],
    ['talks HTTP', (s) => s.end('HTTP/1.1 400 Bad Request\r\n\r\n'), 'conn_refused', /no SSH server at all/],
    ['talks garbage after its banner', (s) => s.write(`${BANNER}${'x'.repeat(4_000)}`), 'kex_failed', /handshake/],
    ['talks an old protocol', (s) => s.write('SSH-1.5-old\r\n'), 'kex_failed', /handshake/],
    ['lets its banner never end', (s) => s.write('x'.repeat(100_000)), '^kex_failed$', /./],
  ])('%s is reported as it is', async (_title, onSocket, reason, detail) => {
    const result = await dialOdd(await listen(onSocket), 300)
    expect(result).toMatchObject({ ok: false, reason: expect.stringMatching(reason) })
    expect(result).toMatchObject({ detail: expect.stringMatching(detail) })
  })

  test('has no algorithm in common is reported as it is', async () => {
    const host = await serve({ algorithms: { kex: ['diffie-hellman-group14-sha1'] } })
    const result = await dialOdd(host)
    expect(result).toMatchObject({ reason: 'kex_failed', detail: expect.stringContaining('no matching') })
  })

  test('is left alone once it has failed: no connection stays open', async () => {
    const closed = new Promise<void>((resolve) => {
      void listen((socket) => {
        socket.write(`${BANNER}${'x'.repeat(4_000)}`)
        socket.resume()
        socket.once('close', () => resolve())
      }).then(dialOdd)
    })
    await closed
  })
})

describe('in the log-in, a server that', () => {
  test('never answers is left in time, and the text says what was tried', async () => {
    const onAuth = (context: AuthContext) => (context.method === 'none' ? context.reject(['password']) : undefined)
    const result = await dialOdd(await serve({ onAuth }), 500)
    expect(result).toMatchObject({ reason: 'conn_timeout', detail: expect.stringContaining('password: no answer') })
  })

  test('goes away is reported as it is', async () => {
    const sockets: Socket[] = []
    const server = new ssh2.Server({ hostKeys: [HOST_KEY.private] }, (connection) => {
      connection.on('error', () => {})
      connection.on('authentication', () => sockets[0]?.end())
    })
    const host = await listen((socket) => {
      sockets.push(socket)
      server.injectSocket(socket)
    })
    expect(await dialOdd(host)).toMatchObject({ reason: 'conn_refused', detail: expect.stringContaining('log-in') })
  })

  test('takes no method we have is reported as it is', async () => {
    const result = await dialOdd(await serve({ onAuth: (context) => context.reject(['hostbased']) }))
    expect(result).toMatchObject({ reason: 'auth_failed', detail: expect.stringContaining('not taken by this host') })
  })
})

test('a jump host whose other side never answers is left in time', async () => {
  const silent = await listen(() => {})
  const jump = sshdHost({ name: 'bastion' })
  const knownHosts = fixedKnownHosts(inject('sshd').knownHosts)
  const result = await dial({ ...silent, jump }, { knownHosts, timeoutMs: 1_500 })
  expect(result).toMatchObject({ ok: false, reason: 'conn_timeout' })
})

describe('another try may go better', () => {
  const refusing = async () => {
    const host = await listen(() => {})
    return sshdHost({ ...host, port: 1 })
  }
  test.each<[string, () => Promise<SshHost>]>([
    ['nothing listens', refusing],
    ['the host says nothing', () => listen(() => {})],
    ['the host closes at once, as at its limit of connections', () => listen((socket) => socket.end())],
    ['the host resets the connection', () => listen((socket) => socket.resetAndDestroy())],
    ['its jump host cannot be reached', async () => ({ ...sshdHost(), jump: await refusing() })],
  ])('where %s', async (_title, makeHost) => {
    expect(await dialOdd(await makeHost(), 500)).toMatchObject({ ok: false, isRetryable: true })
  })

  test.each<[string, () => Promise<SshHost>, string]>([
    ['no credential is accepted', () => serve({ onAuth: (context) => context.reject() }), 'auth_failed'],
    ['the key of the host is not known', async () => sshdHost(), 'host_key_unknown'],
    ['no algorithm is in common', () => serve({ algorithms: { kex: ['diffie-hellman-group14-sha1'] } }), 'kex_failed'],
    ['its jump host cannot be trusted', async () => ({ ...sshdHost(), jump: sshdHost() }), 'jump_failed'],
  ])('but not where %s', async (_title, makeHost, reason) => {
    const knownHosts = fixedKnownHosts(`127.0.0.1,[127.0.0.1]:* ${HOST_KEY.public}\n`)
    expect(await dial(await makeHost(), { knownHosts })).toMatchObject({ ok: false, reason, isRetryable: false })
  })

  test('where the look-up of a name failed, but not where there is no such name', async () => {
    const result = await dialOdd(sshdHost({ address: 'no-such-host.invalid' }))
    const isLookUpAtFault = 'detail' in result && result.detail.includes('EAI_AGAIN')
    expect(result).toMatchObject({ ok: false, reason: 'dns_error', isRetryable: isLookUpAtFault })
  })
})
