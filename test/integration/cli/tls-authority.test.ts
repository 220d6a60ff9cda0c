/** `muster` and `muster mcp` before a server with TLS: whose certificate they trust, and what they say otherwise. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { muster } from '../../support/cli/muster-process.ts'
import { startMcp } from '../../support/mcp/mcp-stdio.ts'
import { makeAuthority } from '../../support/server/certificates.ts'
import { temporaryDataDir } from '../../support/server/server.ts'
import { placesIn, startServerProcess } from '../../support/server/server-process.ts'

/** A server with a certificate for these names, and the environment of a person beside it. */
async function startTls(names = ['DNS:localhost', 'IP:127.0.0.1']) {
  const authority = await makeAuthority()
  const { certFile, keyFile } = await authority.make(names)
  const dataDir = await temporaryDataDir()
  await startServerProcess(dataDir, {
    MUSTER_PREFIX: `test-${crypto.randomUUID()}`,
    MUSTER_TLS_CERT_FILE: certFile,
    MUSTER_TLS_KEY_FILE: keyFile,
  })
  const { url }: { url: string } = JSON.parse(await readFile(join(dataDir, 'state/server.json'), 'utf8'))
  const env = { ...placesIn(dataDir), PATH: process.env.PATH }
  return { ...authority, url, env, key: (await readFile(join(dataDir, 'state/api-key'), 'utf8')).trim() }
}

describe('the authority of a server is trusted', () => {
  test('when MUSTER_CA_FILE names it, for the local server and for one by its address', async () => {
    const { env, caFile, url, key } = await startTls()
    const local = await muster({ ...env, MUSTER_CA_FILE: caFile }, 'hosts', 'db1')
    expect([local.status, local.out.toString()]).toEqual([0, expect.stringContaining('db1')])
    const given = { MUSTER_URL: url, MUSTER_API_KEY: key, MUSTER_CA_FILE: caFile }
    expect((await muster({ ...env, ...given }, 'hosts', 'db1')).status).toBe(0)
  })

  test('when Node itself is told, by NODE_EXTRA_CA_CERTS', async () => {
    const { env, caFile } = await startTls()
    expect((await muster({ ...env, NODE_EXTRA_CA_CERTS: caFile }, 'hosts', 'db1')).status).toBe(0)
  })

  test('muster mcp trusts the authority as well', async () => {
    const { env, caFile } = await startTls()
    const mcp = startMcp({ ...env, MUSTER_CA_FILE: caFile })
    expect((await mcp.ask(1, { method: 'tools/list' })).result).toHaveProperty('tools')
  })
})

describe('without that, nothing is sent, and the words say what to do:', () => {
  test('an authority that nobody named is not trusted', async () => {
    const { env, url, key } = await startTls()
    const { status, said } = await muster(env, 'hosts')
    expect([status, said]).toEqual([
      2,
      expect.stringMatching(/certificate of https:.* is not trusted .*MUSTER_CA_FILE/),
    ])
    for (const more of [{}, { MUSTER_URL: url, MUSTER_API_KEY: key }]) {
      const mcp = startMcp({ ...env, ...more })
      const { error } = await mcp.ask(1, { method: 'tools/list' })
      expect(error?.message).toMatch(/is not trusted .*nothing was sent; set MUSTER_CA_FILE/)
    }
  })

  test('for another authority, and for a name that the certificate is not for', async () => {
    const { env, caFile, url, key } = await startTls(['DNS:localhost'])
    const other = await makeAuthority()
    expect((await muster({ ...env, MUSTER_CA_FILE: other.caFile }, 'hosts')).said).toMatch(/is not trusted/)
    const byAddress = { MUSTER_URL: url.replace('localhost', '127.0.0.1'), MUSTER_API_KEY: key, MUSTER_CA_FILE: caFile }
    expect((await muster({ ...env, ...byAddress }, 'hosts')).said).toMatch(/is not trusted .*127\.0\.0\.1/)
  })

  test.each([
    ['is not there', undefined, /MUSTER_CA_FILE: there is no file .*ca\.pem/],
    ['holds no certificate', 'hello', /MUSTER_CA_FILE: .*holds no certificate in PEM form/],
    [
      'holds half of one',
      '-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n',
      /certificate 1 cannot be read/,
    ],
  ])('for a file that %s', async (_what, content, why) => {
    const dataDir = await temporaryDataDir()
    const file = join(dataDir, 'ca.pem')
    if (content !== undefined) await writeFile(file, content)
    const { status, said } = await muster({ ...placesIn(dataDir), MUSTER_CA_FILE: file }, 'hosts')
    expect([status, said]).toEqual([2, expect.stringMatching(why)])
  })
})
