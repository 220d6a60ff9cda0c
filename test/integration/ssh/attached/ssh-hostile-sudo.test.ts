/**
 * A sudo that hangs, lies, asks for something else or repeats what it was told: the password is given once, to sudo's
 * own prompt and to nothing else, and the command is not sent before both streams say that the way is free.
 */
import type { RemoteCommand } from '@muster/ssh'
import type { Connection, ServerChannel } from 'ssh2'
import { expect, test } from 'vitest'
import { reachOdd, startLauncher } from '../../../support/ssh/odd-server.ts'
import { run } from '../../../support/ssh/ssh.ts'

const PASSWORD = 'open-sesame'
const ASKED: RemoteCommand = { form: { command: 'echo ran' }, sudo: { user: 'root', password: PASSWORD } }
const QUICK = { channelTimeoutMs: 500, execTimeoutMs: 500, killGraceMs: 100 }
/** What every end of these has in common. */
const NOT_STARTED = { remote: 'not_started', exitCode: null, signal: null, out: '', err: '' }

/** What the line of an exec will print, as a host knows it. */
type Marks = { readonly reached: string; readonly prompt: string; readonly line: string }
type Act = (channel: ServerChannel, marks: Marks, connection: Connection, count: number) => void

/** A host on which `act` stands where sudo does; `received` is all that was sent to it. */
async function oddSudo(act: Act) {
  let received = ''
  const connection = await reachOdd({
    onSession: (session, server, count) =>
      void session.on('exec', (accept, _reject, { command }) => {
        const nonce = /[0-9a-f]{32}/.exec(command)?.[0]
        const channel = accept()
        channel.on('error', () => {})
        channel.on('data', (bytes: Buffer) => {
          received += bytes
        })
        const mark = (name: string) => `muster-${name}-${nonce}:`
        act(channel, { reached: mark('sudo'), prompt: mark('asks'), line: command }, server, count)
      }),
  })
  return { connection, received: () => received }
}

function end(channel: ServerChannel, code: number): void {
  channel.exit(code)
  channel.end()
}

test('sudo that says nothing does not hold the run, and nothing was sent to it', async () => {
  const { connection, received } = await oddSudo((channel, { reached }) => channel.stderr.write(reached))
  const ended = await run(connection, ASKED, QUICK)
  expect(ended).toMatchObject({ ...NOT_STARTED, state: 'failed', reason: 'sudo_denied' })
  expect(ended.detail).toContain('nothing came of it within 0.5 s')
  expect(received()).toBe('')
})

test('a question that is not the prompt of sudo is not answered, and is reported', async () => {
  const { connection, received } = await oddSudo((channel, { reached }) => {
    channel.stderr.write(`${reached}Verification code: \u001b[0m`)
  })
  const ended = await run(connection, ASKED, QUICK)
  expect(ended).toMatchObject({ ...NOT_STARTED, state: 'failed', reason: 'sudo_denied' })
  expect(ended.detail).toMatch(/: Verification code: +\[0m$/)
  expect(received()).toBe('')
})

test('a password is given once, and what the host repeats of it is not told', async () => {
  const { connection, received } = await oddSudo((channel, { reached, prompt }) => {
    channel.stderr.write(reached + prompt)
    channel.once('data', () => channel.stderr.write(`Sorry.${prompt}`))
    channel.on('end', () => {
      channel.stderr.write(`sudo: ${PASSWORD} is wrong`)
      end(channel, 1)
    })
  })
  const ended = await run(connection, ASKED)
  expect(ended).toMatchObject({ ...NOT_STARTED, state: 'failed', reason: 'sudo_denied' })
  expect(ended.detail).toBe('odd: sudo did not take the password: sudo: *** is wrong')
  expect(received()).toBe(`${PASSWORD}\n`)
})

test('a cancel while sudo thinks is confirmed: the command was not sent', async () => {
  const cancel = new AbortController()
  const { connection, received } = await oddSudo((channel, { reached, prompt }) => {
    channel.stderr.write(reached + prompt)
    channel.once('data', () => cancel.abort())
  })
  const ended = await run(connection, ASKED, { signal: cancel.signal })
  expect(ended).toMatchObject({ ...NOT_STARTED, state: 'cancelled', reason: 'cancelled_by_user' })
  expect(received()).toBe(`${PASSWORD}\n`)
})

test('a connection that is lost on the way is unreachable, not lost', async () => {
  const { connection } = await oddSudo((channel, { reached }, server) => {
    channel.stderr.write(reached)
    server.end()
  })
  expect(await run(connection, ASKED)).toMatchObject({ ...NOT_STARTED, state: 'unreachable', reason: 'conn_lost' })
})

test('an account whose shell does not even start sudo is not refused by sudo', async () => {
  const { connection } = await oddSudo((channel) => {
    channel.write('This account is currently not available.\n')
    end(channel, 1)
  })
  const ended = await run(connection, ASKED)
  expect(ended).toMatchObject({ ...NOT_STARTED, state: 'unreachable', reason: 'channel_refused' })
  expect(ended.detail).toContain('(exit status 1): This account is currently not available.')
})

test('what sudo says on the way is no part of the command, whose output comes behind it', async () => {
  const { connection } = await oddSudo((channel, { reached, prompt, line }) => {
    channel.stderr.write(`profile\n${reached}lecture\n${prompt}`)
    channel.once('data', () =>
      startLauncher(channel, line, () => {
        channel.write('out')
        channel.stderr.write('err')
        end(channel, 0)
      }),
    )
  })
  expect(await run(connection, ASKED)).toMatchObject({ state: 'succeeded', out: 'out', err: 'err' })
})

test('a kill for which sudo does not let us through is not confirmed', async () => {
  const { connection } = await oddSudo((channel, { reached, line }, _server, count) => {
    channel.stderr.write(reached)
    if (count > 1) return end(channel, 1)
    startLauncher(channel, line, () => {})
  })
  const ended = await run(connection, ASKED, QUICK)
  expect(ended).toMatchObject({ state: 'lost', reason: 'kill_unconfirmed', remote: 'unknown', exitCode: null })
})
