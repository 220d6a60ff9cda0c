/** Sealing and opening: only what was sealed for this job, these hosts and this command opens, and nothing else. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dropOldKeys, makeKeys, openSealer, openSecrets, readPrivateKeys, rotateKeys, WORKER_KEYS } from '@muster/trust'
import { CompactEncrypt, importJWK } from 'jose'
import { expect, onTestFinished, test } from 'vitest'

const SECRETS = {
  sudo_password: 'canary-password',
  secret_env: { TOKEN: 'canary-token' },
  secret_stdin: 'canary-stdin',
}
const WHAT = { jobId: 'job_a', hosts: ['web1', 'web2'], work: 'digest' }

async function sealed() {
  const directory = await mkdtemp(join(tmpdir(), 'muster-sealed-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const { privateFile, publicFile, made } = await makeKeys(WORKER_KEYS, directory)
  const sealer = await openSealer(publicFile)
  const text = await sealer.seal(SECRETS, WHAT)
  const open = async (given: string, what = WHAT) =>
    await openSecrets(await readPrivateKeys(WORKER_KEYS, privateFile), given, what)
  return { directory, privateFile, sealer, text, keyId: made[0], open }
}

test('what was sealed is opened, and shows nothing on its way', async () => {
  const { text, open } = await sealed()
  expect(await open(text)).toEqual({ secrets: SECRETS })
  const readable = text.split('.').map((part) => Buffer.from(part, 'base64url').toString('latin1'))
  expect(readable.join()).not.toContain('canary')
  expect(readable[0]).toContain('"job":"job_a"')
})

test.each([
  ['another job', { ...WHAT, jobId: 'job_b' }, 'the sealed secrets are those of job job_a'],
  ['other hosts', { ...WHAT, hosts: ['web1', 'evil'] }, 'the secrets were sealed for other hosts'],
  ['the same hosts in another order', { ...WHAT, hosts: ['web2', 'web1'] }, 'the secrets were sealed for other hosts'],
  ['one host more', { ...WHAT, hosts: ['web1', 'web2', 'web3'] }, 'the secrets were sealed for other hosts'],
  [
    'hosts whose names only join to the same',
    { ...WHAT, hosts: ['web1","web2'] },
    'the secrets were sealed for other hosts',
  ],
  ['another command', { ...WHAT, work: 'other' }, 'the secrets were sealed for another command'],
])('for %s it does not open', async (_what, what, unreadable) => {
  const { text, open } = await sealed()
  expect(await open(text, what)).toEqual({ unreadable })
})

test('a header that was changed to fit does not open: it is authenticated', async () => {
  const { text, open } = await sealed()
  const [header = '', ...rest] = text.split('.')
  const changed = Buffer.from(header, 'base64url').toString().replace('job_a', 'job_b')
  const forged = [Buffer.from(changed).toString('base64url'), ...rest].join('.')
  expect(await open(forged, { ...WHAT, jobId: 'job_b' })).toEqual({ unreadable: 'the sealed secrets are damaged' })
})

test('damage anywhere is told as damage', async () => {
  const { text, open } = await sealed()
  const parts = text.split('.')
  const damaged = [
    '',
    'nonsense',
    text.slice(0, -10),
    parts.slice(0, 4).join('.'),
    ...[2, 3, 4].map((at) => parts.map((part, i) => (i === at ? flipped(part) : part)).join('.')),
  ]
  for (const one of damaged) expect(await open(one)).toEqual({ unreadable: 'the sealed secrets are damaged' })
})

function flipped(part: string): string {
  const bytes = Buffer.from(part, 'base64url')
  bytes[0] = (bytes[0] ?? 0) ^ 1
  return bytes.toString('base64url')
}

test('after a rotation the old is readable and the new has the new key; dropped keys open nothing', async () => {
  const { directory, sealer, text, open, keyId } = await sealed()
  const rotated = await rotateKeys(WORKER_KEYS, directory)
  const newer = await sealer.seal(SECRETS, WHAT)
  expect([await open(text), await open(newer)]).toEqual([{ secrets: SECRETS }, { secrets: SECRETS }])
  await dropOldKeys(WORKER_KEYS, directory)
  expect(await open(newer)).toEqual({ secrets: SECRETS })
  expect(await open(text)).toEqual({
    unreadable: `the secrets were sealed with the key ${keyId}, and this worker has ${rotated.made[0]}`,
  })
})

test('a secret that this version does not know is not left out', async () => {
  const { privateFile, text, open } = await sealed()
  const [key] = await readPrivateKeys(WORKER_KEYS, privateFile)
  const header = JSON.parse(Buffer.from(text.split('.')[0] ?? '', 'base64url').toString())
  const { epk: _epk, ...sealedFor } = header
  const newer = await new CompactEncrypt(Buffer.from(JSON.stringify({ ...SECRETS, secret_file: 'x' })))
    .setProtectedHeader(sealedFor)
    .encrypt(await importJWK({ ...key, d: undefined }, 'ECDH-ES'))
  expect(await open(newer)).toEqual({ unreadable: 'the secrets are not as this version knows them' })
})

test('another algorithm than the one that Muster seals with is refused', async () => {
  const { text, open } = await sealed()
  const { epk: _epk, ...sealedFor } = JSON.parse(Buffer.from(text.split('.')[0] ?? '', 'base64url').toString())
  const direct = await new CompactEncrypt(Buffer.from(JSON.stringify(SECRETS)))
    .setProtectedHeader({ ...sealedFor, alg: 'dir' })
    .encrypt(new Uint8Array(32))
  expect(await open(direct)).toEqual({ unreadable: 'the sealed secrets are damaged' })
})
