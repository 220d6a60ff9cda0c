/** One key out of an agent that holds many, at a host that allows few attempts: a real ssh-agent and a real sshd. */
import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createConnection, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Credential, fixedKnownHosts } from '@muster/ssh'
import { describe, expect, onTestFinished, test } from 'vitest'
import { startAgent } from '../../../support/ssh/agent.ts'
import { dial, sshdHost } from '../../../support/ssh/ssh.ts'
import { startSshd } from '../../../support/ssh/sshd.ts'

/**
 * An agent with nine keys that the host does not take and, as the last, one that it does; the host allows three tries.
 */
async function manyKeys() {
  const dir = mkdtempSync(join(tmpdir(), 'muster-many-keys-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  const make = (name: string, passphrase = '') => {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', passphrase, '-C', name, '-f', join(dir, name)])
    return join(dir, name)
  }
  const others = Array.from({ length: 9 }, (_, i) => make(`other${i}`))
  const [right, absent] = [make('right'), make('absent', 'secret')]
  const own = await startSshd(['MaxAuthTries 3'])
  onTestFinished(() => own.close())
  appendFileSync(own.facts.authorizedKeysFile, `\n${readFileSync(`${right}.pub`)}`)
  const { socket } = await startAgent(...others, right)
  const logIn = async (credential: Credential, more: { timeoutMs?: number } = {}) => {
    const knownHosts = fixedKnownHosts(own.facts.knownHosts)
    const result = await dial(sshdHost({ credentials: [credential] }, own.facts), { knownHosts, ...more })
    if (result.ok) result.connection.close()
    return result
  }
  const key = (source: string, changes: { agent?: string; publicHalf?: Buffer } = {}) => ({
    ...({ kind: 'key', pem: readFileSync(source), source, agent: socket } as const),
    ...changes,
  })
  return { dir, socket, right, absent, others, logIn, key }
}

/**
 * The socket of an agent that answers as this one does, but for one kind of request: that it takes, and says nothing.
 * @see https://datatracker.ietf.org/doc/draft-ietf-sshm-ssh-agent/
 */
async function passOnBut(request: number, socket: string): Promise<string> {
  const clients: Socket[] = []
  const server = createServer((client) => {
    clients.push(client)
    client.on('error', () => {})
    client.once('data', (first) => {
      if (first[4] === request) return
      const agent = createConnection(socket)
      agent.write(first)
      client.pipe(agent).pipe(client)
    })
  })
  onTestFinished(() => {
    server.close()
    for (const client of clients) client.destroy()
  })
  server.listen(`${socket}-silent`)
  await once(server, 'listening')
  return `${socket}-silent`
}

describe('an agent with ten keys, at a host that allows three tries,', () => {
  test('is asked for the one key whose public half is named', async () => {
    const { logIn, key, right, socket } = await manyKeys()
    expect(await logIn(key(`${right}.pub`))).toMatchObject({ ok: true })
    // With all of them it does not come to the right one, and says what would help.
    const detail = expect.stringMatching(/Too many authentication failures.*identity_file/)
    expect(await logIn({ kind: 'agent', socket })).toMatchObject({ reason: 'auth_failed', detail })
  })

  test('is asked for the key whose private half cannot be opened here', async () => {
    const { logIn, key, dir } = await manyKeys()
    execFileSync('ssh-keygen', ['-q', '-p', '-N', 'secret', '-P', '', '-f', join(dir, 'right')])
    expect(await logIn(key(join(dir, 'right')))).toMatchObject({ ok: true })
    // A key in PKCS#8 shows its public half in the file beside it only.
    const { privateKey } = generateKeyPairSync('ed25519')
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' })
    const publicHalf = readFileSync(join(dir, 'right.pub'))
    expect(await logIn({ ...key(join(dir, 'right'), { publicHalf }), pem: pem.toString() })).toMatchObject({ ok: true })
  })

  test('is not asked for any other key where it lacks the named one, and that is reported', async () => {
    const { logIn, key, absent, socket } = await manyKeys()
    const [, print] = execFileSync('ssh-keygen', ['-lf', `${absent}.pub`])
      .toString()
      .split(' ')
    for (const file of [absent, `${absent}.pub`]) {
      const result = await logIn(key(file))
      expect(result).toMatchObject({ ok: false, reason: 'auth_failed', isHostsFault: false })
      expect(result).toMatchObject({ detail: expect.stringContaining(`key ${file}: `) })
      expect(result).toMatchObject({ detail: expect.stringContaining(`the agent ${socket} does not hold it`) })
      expect(result).toMatchObject({ detail: expect.stringContaining(`${print}`) })
      expect(result).toMatchObject({ detail: expect.stringContaining('ssh-add') })
    }
  })

  test('shows only the named key, also where the host does not take it', async () => {
    const { logIn, key, others } = await manyKeys()
    const detail = expect.stringMatching(/other0\.pub: refused$/)
    expect(await logIn(key(`${others[0]}.pub`))).toMatchObject({ reason: 'auth_failed', isHostsFault: true, detail })
  })

  test('that is not there, or is not known, is reported', async () => {
    const { logIn, key, right } = await manyKeys()
    const away = key(`${right}.pub`, { agent: '/nonexistent/agent' })
    expect(await logIn(away)).toMatchObject({ detail: expect.stringContaining('agent /nonexistent/agent: Failed to') })
    const detail = expect.stringContaining('SSH_AUTH_SOCK')
    expect(await logIn(key(`${right}.pub`, { agent: '' }))).toMatchObject({ reason: 'auth_failed', detail })
  })

  test.each([
    ['its keys', 11],
    ['a signature', 13],
  ])('that does not answer when asked for %s is no fault of the host', async (_what, request) => {
    const { logIn, key, right, socket } = await manyKeys()
    const agent = await passOnBut(request, socket)
    const detail = expect.stringMatching(/while waiting for the SSH agent; key .*: no answer/)
    const why = { reason: 'conn_timeout', isHostsFault: false, isRetryable: true, detail }
    expect(await logIn(key(`${right}.pub`, { agent }), { timeoutMs: 1_000 })).toMatchObject(why)
  })
})
