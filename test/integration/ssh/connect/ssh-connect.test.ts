/** Reaching a real sshd: credentials, host keys, and the ways in which it can fail. */
import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Credential, fixedKnownHosts, loadKnownHosts, type SshHost } from '@muster/ssh'
import ssh2 from 'ssh2'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { startAgent } from '../../../support/ssh/agent.ts'
import { dial, keyFile, reach, run, sshdHost } from '../../../support/ssh/ssh.ts'

const sshd = inject('sshd')
const password = (value: string): Credential => ({ kind: 'password', password: value })

async function logsIn(credentials: readonly Credential[]): Promise<string> {
  const connection = await reach(sshdHost({ credentials }))
  return (await run(connection, 'id -un')).out.trim()
}

describe('a log-in is made with', () => {
  test.each([
    ['an ed25519 key', () => keyFile(sshd.keys.ed25519)],
    ['an encrypted key', () => keyFile(sshd.keys.encrypted.file, sshd.keys.encrypted.passphrase)],
    ['an RSA key in PKCS#8', () => keyFile(sshd.keys.rsaPkcs8)],
    ['an ECDSA key in PKCS#8', () => keyFile(sshd.keys.ecdsaPkcs8)],
  ])('%s', async (_title, credential) => {
    expect(await logsIn([credential()])).toBe(sshd.user)
  })

  test('an ed25519 key in encrypted PKCS#8', async () => {
    const { privateKey } = generateKeyPairSync('ed25519')
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' })
    const raw = Buffer.from(privateKey.export({ format: 'jwk' }).x ?? '', 'base64url')
    const wire = Buffer.concat([Buffer.from('\0\0\0\x0bssh-ed25519\0\0\0\x20', 'latin1'), raw])
    appendFileSync(sshd.authorizedKeysFile, `ssh-ed25519 ${wire.toString('base64')}\n`)
    expect(await logsIn([{ kind: 'key', pem, passphrase: 'secret', source: 'pkcs8' }])).toBe(sshd.user)
  })

  test('a key held by an agent', async () => {
    const { socket } = await startAgent(sshd.keys.ed25519)
    expect(await logsIn([{ kind: 'agent', socket }])).toBe(sshd.user)
  })

  test('a password', async (context) => {
    if (sshd.password === null) return context.skip('only root can set a password to test with')
    expect(await logsIn([password(sshd.password)])).toBe(sshd.user)
  })

  test('the credential that works, after others that do not', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const strange = privateKey.export({ type: 'sec1', format: 'pem' }).toString()
    const unusable = { kind: 'key', pem: 'not a key', source: 'broken' } as const
    const other = { kind: 'key', pem: strange, source: 'strange' } as const
    const agent = { kind: 'agent', socket: '/nonexistent/agent' } as const
    expect(await logsIn([agent, unusable, other, keyFile(sshd.keys.rsaPkcs8)])).toBe(sshd.user)
  })
})

describe('auth_failed tells what was tried and no secret, for', () => {
  const SECRET = 'wrong-horse-battery'
  const publicKey = () => readFileSync(`${sshd.keys.ed25519}.pub`)
  test.each<[string, () => Credential[], RegExp]>([
    ['no credential', () => [], /no credential is configured/],
    ['a wrong password', () => [password(SECRET)], /password: refused/],
    ['a wrong passphrase', () => [keyFile(sshd.keys.encrypted.file, SECRET)], /id_encrypted: .*passphrase/],
    ['a missing passphrase', () => [keyFile(sshd.keys.encrypted.file)], /id_encrypted: .*passphrase/],
    ['no agent', () => [{ kind: 'agent', socket: '/nonexistent/agent' }], /agent \/nonexistent\/agent: .*agent/],
    ['an agent without a socket', () => [{ kind: 'agent', socket: '' }], /SSH_AUTH_SOCK/],
    ['a public key', () => [{ kind: 'key', pem: publicKey(), source: 'my.pub' }], /my\.pub: this is a public key/],
    ['a text that is no key', () => [{ kind: 'key', pem: SECRET, source: 'x' }], /key x: this is no private key/],
  ])('%s', async (_title, credentials, detail) => {
    const result = await dial(sshdHost({ credentials: credentials() }))
    expect(result).toMatchObject({ ok: false, reason: 'auth_failed', detail: expect.stringMatching(detail) })
    expect(JSON.stringify(result)).not.toContain(SECRET)
  })

  test('a key on a security key', async () => {
    const blob = Buffer.concat([
      Buffer.from('openssh-key-v1\0\0\0\0\x04none\0\0\0\x04none\0\0\0\0\0\0\0\x01\0\0\0\x1e', 'latin1'),
      Buffer.from('\0\0\0\x1ask-ssh-ed25519@openssh.com', 'latin1'),
    ])
    const pem = `-----BEGIN OPENSSH PRIVATE KEY-----\n${blob.toString('base64')}\n-----END OPENSSH PRIVATE KEY-----\n`
    const result = await dial(sshdHost({ credentials: [{ kind: 'key', pem, source: 'id_sk' }] }))
    expect(result).toMatchObject({ reason: 'auth_failed', detail: expect.stringMatching(/id_sk: .*security key/) })
  })

  test('each of several credentials, keys first and the password last', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const key = {
      kind: 'key',
      pem: privateKey.export({ type: 'sec1', format: 'pem' }).toString(),
      source: 'k',
    } as const
    const result = await dial(sshdHost({ credentials: [password(SECRET), { kind: 'agent', socket: '/a' }, key] }))
    expect(result).toMatchObject({ detail: expect.stringMatching(/key k: refused; agent \/a: .*; password: refused/) })
  })
})

describe('the key of the host', () => {
  const { port } = sshd
  const line = (type: string, name = `[127.0.1.1]:${port}`) => `${name} ${type} ${sshd.hostKeys[type]}\n`
  const shown = async (text: string, changes: Partial<SshHost> = {}) => {
    const result = await dial(sshdHost(changes), { knownHosts: fixedKnownHosts(text, 'my known_hosts') })
    if (result.ok) result.connection.close()
    return result
  }

  test.each(['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ssh-rsa'])(
    'is asked for by the type that is listed: %s',
    async (t) => {
      expect(await shown(line(t))).toMatchObject({ ok: true })
    },
  )

  test('may be listed without the port, as for ssh', async () => {
    expect(await shown(line('ssh-ed25519', '127.0.1.1'))).toMatchObject({ ok: true })
  })

  test('is looked up under its alias', async () => {
    const text = line('ssh-ed25519', 'the-alias')
    expect(await shown(text, { hostKeyAlias: 'the-alias' })).toMatchObject({ ok: true })
    expect(await shown(text)).toMatchObject({ reason: 'host_key_unknown' })
  })

  test('is refused when none is listed, with fingerprint, files, and what to do', async () => {
    const result = await shown('')
    const file = join(mkdtempSync(join(tmpdir(), 'muster-key-')), 'key.pub')
    onTestFinished(() => rmSync(join(file, '..'), { recursive: true }))
    appendFileSync(file, `ssh-ed25519 ${sshd.hostKeys['ssh-ed25519']}\n`)
    const fingerprint = execFileSync('ssh-keygen', ['-lf', file]).toString().split(' ')[1]
    expect(result).toMatchObject({ ok: false, reason: 'host_key_unknown' })
    for (const part of [
      `ssh-ed25519 key ${fingerprint}`,
      'my known_hosts',
      `ssh-keyscan -t ed25519 -p ${port} 127.0.1.1`,
    ])
      expect(result).toMatchObject({ detail: expect.stringContaining(part) })
  })

  test('is refused when another one is listed', async () => {
    const other = ssh2.utils.generateKeyPairSync('ed25519').public
    const result = await shown(`[127.0.1.1]:${port} ${other}\n`)
    expect(result).toMatchObject({ reason: 'host_key_changed', detail: expect.stringContaining('ssh-keygen -R') })
  })

  test('is refused when it is revoked', async () => {
    const result = await shown(`${line('ssh-ed25519')}@revoked ${line('ssh-ed25519', '*')}`)
    expect(result).toMatchObject({ reason: 'host_key_changed', detail: expect.stringContaining('@revoked') })
  })

  test('is refused when only an authority is listed, and the text says why', async () => {
    const result = await shown(`@cert-authority ${line('ssh-rsa', '*')}`)
    expect(result).toMatchObject({ reason: 'host_key_unknown', detail: expect.stringContaining('not supported') })
  })

  test('is refused when the file with it is missing, and the text names the file', async () => {
    const result = await dial(sshdHost(), { knownHosts: loadKnownHosts(['/nonexistent/known_hosts']) })
    const detail = expect.stringContaining('/nonexistent/known_hosts (does not exist)')
    expect(result).toMatchObject({ reason: 'host_key_unknown', detail })
  })

  test('comes before any credential: a wrong password is not even offered', async () => {
    const result = await shown('', { credentials: [password('x')] })
    expect(result).toMatchObject({ reason: 'host_key_unknown' })
  })
})

describe('a host is not reached because', () => {
  test('its name cannot be looked up', async () => {
    const result = await dial(sshdHost({ address: 'no-such-host.invalid' }))
    expect(result).toMatchObject({ ok: false, reason: 'dns_error', detail: expect.stringContaining('no-such-host') })
  })

  test('nothing listens on its port', async () => {
    expect(await dial(sshdHost({ port: 1 }))).toMatchObject({ ok: false, reason: 'conn_refused' })
  })

  test('the caller gave up before or meanwhile', async () => {
    expect(await dial(sshdHost(), { signal: AbortSignal.abort() })).toMatchObject({ reason: 'cancelled_by_user' })
    const giveUp = new AbortController()
    const result = dial(sshdHost(), { signal: giveUp.signal })
    giveUp.abort()
    expect(await result).toMatchObject({ ok: false, reason: 'cancelled_by_user' })
  })
})

test('ssh2 runs without its native add-on', async () => {
  await reach()
  const report: unknown = process.report.getReport()
  const { sharedObjects } = Object.assign({ sharedObjects: [''] }, report)
  expect(sharedObjects.length).toBeGreaterThan(1)
  expect(sharedObjects.filter((file: string) => /sshcrypto|cpufeatures/.test(file))).toEqual([])
})

test('the host is not made to prove its other keys', async () => {
  const connection = await reach()
  await run(connection, 'true')
  // ssh2 keeps here what it waits for from the host; the announcement of the keys came before the command's answer.
  expect(Reflect.get(connection.client, '_remoteVer')).toBe('')
  expect(Reflect.get(connection.client, '_callbacks')).toEqual([])
})

test('a packet goes to the host in one piece, and at once', async () => {
  const connection = await reach(sshdHost())
  const socket: unknown = Reflect.get(connection.client, '_sock')
  if (!(socket instanceof Socket)) throw new Error('ssh2 keeps its socket elsewhere now')
  const handedOver = socket.bytesWritten - socket.writableLength
  connection.client.exec('true', (_error, channel) => channel?.resume())
  const [bytes, waiting] = [socket.bytesWritten - handedOver, socket.writableLength]
  // A length, at least one block of the cipher, and a checksum.
  expect(bytes).toBeGreaterThan(4 + 16)
  expect(waiting).toBe(bytes)
  await new Promise<void>((resolve) => process.nextTick(resolve))
  expect(socket.writableLength).toBe(0)
})
