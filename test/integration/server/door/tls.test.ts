/** TLS of the server process: which pairs it starts with, what it does when they change, and how it is found. */
import { once } from 'node:events'
import { chmod, chown, mkdir, readFile, rename, symlink, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { connect, type PeerCertificate, TLSSocket } from 'node:tls'
import { MusterError } from '@muster/contract'
import { describe, expect, test } from 'vitest'
import { checkPair, readTlsFiles, type TlsFiles } from '../../../../apps/server/src/http/tls-pair.ts'
import { type Made, makeAuthority } from '../../../support/server/certificates.ts'
import { temporaryDataDir } from '../../../support/server/server.ts'
import { startServerProcess } from '../../../support/server/server-process.ts'

const NAMES = ['DNS:localhost', 'IP:127.0.0.1']

const envOf = ({ certFile, keyFile }: Pick<Made, 'certFile' | 'keyFile'>) => ({
  MUSTER_PREFIX: `test-${crypto.randomUUID()}`,
  MUSTER_TLS_CERT_FILE: certFile,
  MUSTER_TLS_KEY_FILE: keyFile,
})

async function urlIn(dataDir: string): Promise<string> {
  return JSON.parse(await readFile(join(dataDir, 'state/server.json'), 'utf8')).url
}

/** Asks over TLS, trusting the authority and nobody else. */
async function ask(url: string, ca: string, headers: Record<string, string> = {}) {
  const sent = request(url, { ca, headers, agent: false }).end()
  const [answer] = await once(sent, 'response')
  return { status: answer.statusCode, body: await text(answer) }
}

/** The certificate that a server shows to a new caller. */
async function shown(url: string, ca: string): Promise<PeerCertificate> {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), ca })
  await once(socket, 'secureConnect')
  const certificate = socket.getPeerCertificate()
  socket.destroy()
  return certificate
}

/** Starts a server that must not start, and answers what it said. */
async function refusal(env: Record<string, string>): Promise<string> {
  const { child, said } = await startServerProcess(await temporaryDataDir(), env)
  expect(child.exitCode).toBeGreaterThan(0)
  expect(said.log).not.toContain('"msg":"ready"')
  expect(said.log + said.out).not.toContain('PRIVATE KEY-----\\nM')
  return said.log
}

/** Why a pair is refused, by the code that a start and a change both pass through. */
async function trouble(files: TlsFiles): Promise<string> {
  try {
    checkPair(await readTlsFiles(files), files)
    return 'none'
  } catch (error) {
    return error instanceof MusterError && error.code === 'invalid_config' ? error.message : `odd: ${error}`
  }
}

describe('a server with a certificate', () => {
  test.each([
    [['IP:127.0.0.1', 'DNS:localhost'], '127.0.0.1'],
    [['DNS:muster.example', 'DNS:localhost'], 'localhost'],
    [['DNS:*.example', 'DNS:muster.example'], 'muster.example'],
  ])('for %j is found at %s, and speaks TLS and nothing else', async (names, host) => {
    const authority = await makeAuthority()
    const dataDir = await temporaryDataDir()
    const { stop } = await startServerProcess(dataDir, envOf(await authority.make(names)))
    const url = new URL(await urlIn(dataDir))
    expect([url.protocol, url.hostname]).toEqual(['https:', host])
    await expect(fetch(`http://127.0.0.1:${url.port}/livez`)).rejects.toThrow()
    expect(await stop()).toBe(0)
  })

  test('has an Origin with its own scheme, and no other', async () => {
    const authority = await makeAuthority()
    const dataDir = await temporaryDataDir()
    await startServerProcess(dataDir, envOf(await authority.make(NAMES)))
    const { origin } = new URL(await urlIn(dataDir))
    const key = (await readFile(join(dataDir, 'state/api-key'), 'utf8')).trim()
    const statusFrom = async (page: string) =>
      (await ask(`${origin}/v1/jobs`, authority.ca, { authorization: `Bearer ${key}`, origin: page })).status
    expect(await statusFrom(origin)).toBe(200)
    expect(await statusFrom(origin.replace('https', 'http'))).toBe(403)
  })

  test('may listen beyond loopback', async () => {
    const authority = await makeAuthority()
    const dataDir = await temporaryDataDir()
    const env = { ...envOf(await authority.make(NAMES)), MUSTER_HOST: '0.0.0.0' }
    const { said } = await startServerProcess(dataDir, env)
    expect(said.log).toContain('"msg":"ready"')
    expect((await ask(`${await urlIn(dataDir)}/readyz`, authority.ca)).status).toBe(200)
  })
})

describe('a pair that cannot be used keeps a server from starting, and is reported in words:', () => {
  test('a certificate without its key, or a key without its certificate, is refused', async () => {
    const { make } = await makeAuthority()
    const { certFile, keyFile } = await make(NAMES)
    expect(await refusal({ MUSTER_TLS_CERT_FILE: certFile })).toMatch(
      /MUSTER_TLS_KEY_FILE: is not set; accepted: the file of/,
    )
    expect(await refusal({ MUSTER_TLS_KEY_FILE: keyFile })).toMatch(
      /MUSTER_TLS_CERT_FILE: is not set; accepted: the file of/,
    )
  })

  test('files that are not there, or hold something else', async () => {
    const { make, dir } = await makeAuthority()
    const { certFile, keyFile } = await make(NAMES)
    const file = join(dir, 'odd')
    const odd = async (content: string) => {
      await writeFile(file, content, { mode: 0o600 })
      return file
    }
    const none = join(dir, 'none')
    expect(await trouble({ certFile: none, keyFile })).toMatch(/MUSTER_TLS_CERT_FILE: there is no file .*none/)
    expect(await trouble({ certFile, keyFile: none })).toMatch(/MUSTER_TLS_KEY_FILE: there is no file .*none/)
    expect(await trouble({ certFile: keyFile, keyFile })).toMatch(/CERT_FILE: .*holds a private key and no certificate/)
    expect(await trouble({ certFile, keyFile: certFile })).toMatch(/KEY_FILE: .*(holds no private key|others can read)/)
    expect(await trouble({ certFile: await odd('hello'), keyFile })).toMatch(/holds no certificate in PEM form/)
    expect(await trouble({ certFile, keyFile: await odd('') })).toMatch(/holds no private key in PEM form/)
    const cut = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
    expect(await trouble({ certFile: await odd(cut), keyFile })).toMatch(/certificate 1 cannot be read/)
    expect(await trouble({ certFile: dir, keyFile })).toMatch(/MUSTER_TLS_CERT_FILE: .*not a regular file/)
  })

  test('a key of another certificate, and a certificate that is not the first', async () => {
    const { make, ca } = await makeAuthority()
    const [one, other] = [await make(NAMES), await make(NAMES)]
    const mixed = { certFile: one.certFile, keyFile: other.keyFile }
    expect(await refusal(envOf(mixed))).toMatch(/CN=pair1.*does not belong to the key/)
    await writeFile(one.certFile, ca + one.cert)
    expect(await trouble(one)).toMatch(/is number 2 in the file; put it first/)
  })

  test('one that has expired, and a key that clients do not accept', async () => {
    const { make } = await makeAuthority()
    expect(await trouble(await make(NAMES, { days: -1 }))).toMatch(/the certificate expired at .*; renew it/)
    const short = await make(NAMES, { keyForm: ['-newkey', 'rsa:512', '-nodes'] })
    expect(await trouble(short)).toMatch(/cannot be used: .*key too small/)
  })

  test('a key with a passphrase is refused', async () => {
    const { make, openssl, dir } = await makeAuthority()
    const { certFile, keyFile } = await make(NAMES)
    await openssl('pkey', '-in', keyFile, '-aes256', '-passout', 'pass:hunter22', '-out', 'locked.key')
    expect(await trouble({ certFile, keyFile: join(dir, 'locked.key') })).toMatch(/has a passphrase.*openssl pkey/)
  })

  test.each([
    ['others may read', 0o604, /others can read it \(mode 0604\).*chmod 0400/],
    ['others may write to', 0o602, /others can write to it/],
  ])('a key that %s', async (_what, mode, why) => {
    const { make } = await makeAuthority()
    const pair = await make(NAMES)
    await chmod(pair.keyFile, mode)
    expect(await trouble(pair)).toMatch(why)
  })

  test.skipIf(process.getuid?.() !== 0)('a key of another user', async () => {
    const { make } = await makeAuthority()
    const pair = await make(NAMES)
    await chown(pair.keyFile, 65_534, 65_534)
    expect(await trouble(pair)).toMatch(/KEY_FILE: .*belongs to user 65534/)
  })
})

describe('a certificate that changes', () => {
  /** A server whose pair is in a directory that a link leads to, as Kubernetes and certbot do it. */
  async function startLinked() {
    const authority = await makeAuthority()
    const home = await temporaryDataDir()
    const place = async (name: string, pair: Pick<Made, 'cert' | 'key'>) => {
      await mkdir(join(home, name), { mode: 0o700 })
      await writeFile(join(home, name, 'tls.crt'), pair.cert)
      await writeFile(join(home, name, 'tls.key'), pair.key, { mode: 0o600 })
    }
    /** One step: a link with the name of the old one takes its place. */
    const pointTo = async (name: string) => {
      await symlink(name, join(home, 'next'))
      await rename(join(home, 'next'), join(home, '..data'))
    }
    const first = await authority.make(NAMES)
    await place('first', first)
    await pointTo('first')
    for (const name of ['tls.crt', 'tls.key']) await symlink(join('..data', name), join(home, name))
    const dataDir = await temporaryDataDir()
    const env = envOf({ certFile: join(home, 'tls.crt'), keyFile: join(home, 'tls.key') })
    const server = await startServerProcess(dataDir, env)
    const url = await urlIn(dataDir)
    const name = async () => (await shown(url, authority.ca)).subject.CN
    return { authority, place, pointTo, url, name, first, ...server }
  }

  test('is taken by new connections; one that is open goes on', async () => {
    const { authority, place, pointTo, url, name, said } = await startLinked()
    const open = connect({ host: '127.0.0.1', port: Number(new URL(url).port), ca: authority.ca })
    await once(open, 'secureConnect')
    expect(await name()).toBe('pair1')
    await place('second', await authority.make(NAMES))
    await pointTo('second')
    await expect.poll(name, { timeout: 20_000 }).toBe('pair2')
    expect(said.log).toContain('took the new certificate')
    open.write('GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    expect(await text(open)).toMatch(/^HTTP\/1\.1 200/)
  })

  test('for one that cannot be used is not taken; the log says so once, and the next good one is', async () => {
    const { authority, place, pointTo, name, said, first } = await startLinked()
    const [second, third] = [await authority.make(NAMES), await authority.make(NAMES)]
    await place('torn', { cert: second.cert, key: first.key })
    await pointTo('torn')
    await expect.poll(() => said.log, { timeout: 20_000 }).toContain('the new certificate cannot be used')
    expect(said.log).toContain('does not belong to the key')
    await place('expired', await authority.make(NAMES, { days: -1 }))
    await pointTo('expired')
    await expect.poll(() => said.log, { timeout: 20_000 }).toMatch(/expired at .*renew it/)
    expect(await name()).toBe('pair1')
    await pointTo('gone')
    await expect.poll(() => said.log, { timeout: 20_000 }).toContain('there is no file')
    expect(await name()).toBe('pair1')
    await place('third', third)
    await pointTo('third')
    await expect.poll(name, { timeout: 20_000 }).toBe('pair3')
    expect(said.log.match(/"msg":"the new certificate cannot be used/g)).toHaveLength(3)
    expect(said.log).not.toContain('PRIVATE KEY')
  })
})

test('a caller with an old version of TLS is refused, and holds up nobody', async () => {
  const authority = await makeAuthority()
  const dataDir = await temporaryDataDir()
  await startServerProcess(dataDir, envOf(await authority.make(NAMES)))
  const url = await urlIn(dataDir)
  const old = connect({
    host: '127.0.0.1',
    port: Number(new URL(url).port),
    ca: authority.ca,
    maxVersion: 'TLSv1.1',
    minVersion: 'TLSv1',
  })
  const [error] = await once(old, 'error')
  expect(String(error.code)).toMatch(/SSL|TLS|ECONNRESET/)
  expect(old).toBeInstanceOf(TLSSocket)
  expect((await ask(`${url}/livez`, authority.ca)).status).toBe(200)
})
