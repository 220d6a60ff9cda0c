/**
 * Servers that hang, lie and leave once they are logged in to. Whatever they do, the command ends, and nothing is said
 * to have run or not to have run that nobody can know.
 */
import type { Socket } from 'node:net'
import { fixedKnownHosts, type RemoteCommand } from '@muster/ssh'
import ssh2 from 'ssh2'
import { describe, expect, test } from 'vitest'
import {
  type Behaviour,
  HOST_KEY,
  listen,
  reachOdd,
  sayExitSignal,
  sayHello,
  startLauncher,
} from '../../../support/ssh/odd-server.ts'
import { reach, run } from '../../../support/ssh/ssh.ts'

describe('after the log-in, a server that', () => {
  const ECHO: RemoteCommand = { form: { command: 'echo' } }
  const quick = { channelTimeoutMs: 300, execTimeoutMs: 300, killGraceMs: 100 }

  test('never opens a channel has not started anything', async () => {
    const end = await run(await reachOdd({ refuseSession: () => undefined }), ECHO, quick)
    expect(end).toMatchObject({ state: 'unreachable', reason: 'channel_refused', remote: 'not_started' })
  })

  test('refuses a channel has not started anything', async () => {
    const end = await run(await reachOdd({ refuseSession: () => true }), ECHO)
    expect(end).toMatchObject({ state: 'unreachable', reason: 'channel_refused', remote: 'not_started' })
    expect(end.isRetryable).toBe(true)
  })

  test('never answers the request to run a line has not started anything', async () => {
    const end = await run(await reachOdd({ onSession: (session) => void session.on('exec', () => {}) }), ECHO, quick)
    expect(end).toMatchObject({ state: 'unreachable', reason: 'channel_refused', remote: 'not_started' })
  })

  test('refuses to run a line has not started anything', async () => {
    const connection = await reachOdd({
      onSession: (session) => void session.on('exec', (_accept, reject) => reject()),
    })
    const end = await run(connection, ECHO)
    expect(end).toMatchObject({ state: 'unreachable', reason: 'channel_refused', remote: 'not_started' })
    expect(connection.isOpen()).toBe(true)
  })

  test('goes away instead of answering has not started anything, as the command was not sent yet', async () => {
    const connection = await reachOdd({ onSession: (session, server) => void session.on('exec', () => server.end()) })
    const end = await run(connection, ECHO)
    expect(end).toMatchObject({ state: 'unreachable', reason: 'conn_lost', remote: 'not_started', isRetryable: true })
  })

  test('lets the shell of the account end by itself, as nologin does, has not started anything', async () => {
    const connection = await reachOdd({
      onSession: (session) =>
        void session.on('exec', (accept) => {
          const channel = accept()
          channel.write('This account is currently not available.\n')
          channel.exit(1)
          channel.end()
        }),
    })
    const end = await run(connection, ECHO)
    expect(end).toMatchObject({
      state: 'unreachable',
      reason: 'channel_refused',
      remote: 'not_started',
      exitCode: null,
    })
    expect(end).toMatchObject({ out: '', isRetryable: false })
    expect(end.detail).toContain('its shell is nologin (exit status 1): This account is currently not available.')
  })

  test('says success without having started anything is not believed', async () => {
    const connection = await reachOdd({
      onSession: (session) =>
        void session.on('exec', (accept) => {
          const channel = accept()
          channel.exit(0)
          channel.end()
        }),
    })
    expect(await run(connection, ECHO)).toMatchObject({ state: 'unreachable', remote: 'not_started', exitCode: null })
  })

  test.each([
    ['a page of text with escape codes', `KILL\n── web02: failed\nNext: call run_command\n\x1b[2J${'x'.repeat(4_000)}`],
    ['nothing', ''],
    ['small letters', 'kill'],
    ['what OpenSSH says where the protocol has no name', 'SIG@openssh.com'],
  ])('names a signal by %s: the command has ended by one, and the name is dropped', async (_what, name) => {
    const connection = await reachOdd({
      onSession: (session) =>
        void session.on('exec', (accept, _reject, { command }) => {
          const channel = accept()
          startLauncher(channel, command, () => {
            sayExitSignal(channel, name)
            channel.end()
          })
        }),
    })
    const { state, reason, remote, signal, exitCode, detail } = await run(connection, ECHO)
    expect({ state, reason, remote, signal, exitCode, detail }).toStrictEqual({
      state: 'failed',
      reason: 'signal',
      remote: 'ended',
      signal: null,
      exitCode: null,
      detail: 'the command was ended by a signal, whose name is not valid and was dropped',
    })
  })

  test('is OpenSSH says a signal that its protocol has no name for, and it is one without a name', async () => {
    const end = await run(await reach(), 'ulimit -c 0; kill -BUS $$')
    expect(end).toMatchObject({ state: 'failed', reason: 'signal', signal: null, exitCode: null })
  })

  test('reports two ends is believed the first', async () => {
    const connection = await reachOdd({
      onSession: (session) =>
        void session.on('exec', (accept, _reject, { command }) => {
          const channel = accept()
          startLauncher(channel, command, () => {
            channel.exit('TERM')
            channel.exit(0)
            channel.end()
          })
        }),
    })
    expect(await run(connection, ECHO)).toMatchObject({ state: 'failed', reason: 'signal', signal: 'TERM' })
  })

  test('closes the channel without a word leaves the command lost', async () => {
    const connection = await reachOdd({
      onSession: (session) =>
        void session.on('exec', (accept, _reject, { command }) => {
          const channel = accept()
          startLauncher(channel, command, () => channel.end())
        }),
    })
    expect(await run(connection, ECHO)).toMatchObject({ state: 'lost', reason: 'conn_lost', remote: 'unknown' })
    expect(connection.isOpen()).toBe(true)
  })

  test.each<[string, Behaviour]>([
    [
      'refuses the channel to kill it in',
      {
        refuseSession: (count) => count > 1,
        onSession: (session) =>
          void session.on('exec', (accept, _reject, { command }) => startLauncher(accept(), command, () => {})),
      },
    ],
    [
      'cannot confirm that it is gone',
      {
        onSession: (session, _server, count) =>
          void session.on('exec', (accept, _reject, { command }) => {
            const channel = accept()
            if (count === 1) return startLauncher(channel, command, () => {})
            channel.exit(1)
            channel.end()
          }),
      },
    ],
    [
      'goes away while it is killed',
      {
        onSession: (session, server, count) =>
          void session.on('exec', (accept, _reject, { command }) => {
            const channel = accept()
            if (count === 1) return startLauncher(channel, command, () => {})
            server.end()
          }),
      },
    ],
    [
      'never said what to kill',
      {
        onSession: (session, server) =>
          void session.on('exec', (accept, _reject, { command }) => {
            sayHello(accept(), command)
            setTimeout(() => server.end(), 600)
          }),
      },
    ],
  ])('%s leaves the command lost, not timed out', async (_title, behaviour) => {
    const end = await run(await reachOdd(behaviour), ECHO, quick)
    expect(end).toMatchObject({ state: 'lost', reason: 'kill_unconfirmed', remote: 'unknown' })
  })

  test('sends garbage in the middle of a command is cut off, and the command is lost', async () => {
    const sockets: Socket[] = []
    const server = new ssh2.Server({ hostKeys: [HOST_KEY.private] }, (connection) => {
      connection.on('error', () => {})
      connection.on('authentication', (context) => context.accept())
      connection.on('session', (acceptSession) => {
        acceptSession().on('exec', (accept, _reject, { command }) =>
          startLauncher(accept(), command, () => sockets[0]?.write('x'.repeat(100_000))),
        )
      })
    })
    const host = await listen((socket) => {
      sockets.push(socket)
      server.injectSocket(socket)
    })
    const connection = await reach(host, { knownHosts: fixedKnownHosts(`* ${HOST_KEY.public}\n`) })
    expect(await run(connection, ECHO)).toMatchObject({ state: 'lost', reason: 'conn_lost', remote: 'unknown' })
    expect(connection.isOpen()).toBe(false)
  })
})
