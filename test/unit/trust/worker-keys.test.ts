/** The key files of workers: who may read them, what they may hold, and how they are rotated. */
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  dropOldWorkerKeys,
  ensureWorkerKeys,
  makeWorkerKeys,
  readWorkerKeys,
  readWorkerPublicKeys,
  rotateWorkerKeys,
} from '@muster/trust'
import { expect, onTestFinished, test } from 'vitest'

async function emptyDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'muster-worker-keys-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return directory
}

const modeOf = async (file: string) => ((await stat(file)).mode & 0o777).toString(8)

test('the private file is for its owner alone, and the public one holds no private half', async () => {
  const { privateFile, publicFile, keyId } = await makeWorkerKeys(await emptyDirectory())
  expect([await modeOf(privateFile), await modeOf(publicFile)]).toEqual(['600', '644'])
  const [key] = await readWorkerKeys(privateFile)
  const [half] = await readWorkerPublicKeys(publicFile)
  expect(key?.kid).toBe(keyId)
  expect(half).toEqual({ ...key, d: undefined })
  expect(await readFile(publicFile, 'utf8')).not.toContain(key?.d)
})

test('keys that are there are never made anew: what is sealed with them would be lost', async () => {
  const directory = await emptyDirectory()
  const { privateFile } = await makeWorkerKeys(directory)
  const before = await readFile(privateFile, 'utf8')
  await expect(makeWorkerKeys(directory)).rejects.toThrow(/holds keys already: muster worker-keys rotate adds/)
  await ensureWorkerKeys(directory)
  expect(await readFile(privateFile, 'utf8')).toBe(before)
})

test('a missing public file is made again from the private one', async () => {
  const directory = await emptyDirectory()
  const { publicFile } = await ensureWorkerKeys(directory)
  const before = await readFile(publicFile, 'utf8')
  await rm(publicFile)
  await ensureWorkerKeys(directory)
  expect(await readFile(publicFile, 'utf8')).toBe(before)
})

test('two that make them at once get the same keys', async () => {
  const directory = await emptyDirectory()
  const made = await Promise.all(Array.from({ length: 8 }, () => ensureWorkerKeys(directory)))
  const [files] = made
  if (files === undefined) throw new Error('nothing was made')
  const [[key], [half]] = [await readWorkerKeys(files.privateFile), await readWorkerPublicKeys(files.publicFile)]
  expect(half?.kid).toBe(key?.kid)
})

test('rotating puts a new key first and keeps the others; dropping keeps the newest alone', async () => {
  const directory = await emptyDirectory()
  const first = await makeWorkerKeys(directory)
  const second = await rotateWorkerKeys(directory)
  const ids = async () => (await readWorkerKeys(first.privateFile)).map(({ kid }) => kid)
  expect(await ids()).toEqual([second.keyId, first.keyId])
  expect((await readWorkerPublicKeys(first.publicFile))[0]?.kid).toBe(second.keyId)
  expect(await dropOldWorkerKeys(directory)).toMatchObject({ keyId: second.keyId, dropped: [first.keyId] })
  expect(await ids()).toEqual([second.keyId])
  expect(await modeOf(first.privateFile)).toBe('600')
})

test('a private file that others can read is refused, with the command that mends it', async () => {
  const { privateFile } = await makeWorkerKeys(await emptyDirectory())
  await chmod(privateFile, 0o644)
  await expect(readWorkerKeys(privateFile)).rejects.toThrow(/others can read it \(mode 0644\)\. Correct it: chmod 0400/)
})

test('a public file that others can write to is refused: they would have secrets sealed for themselves', async () => {
  const { publicFile } = await makeWorkerKeys(await emptyDirectory())
  await chmod(publicFile, 0o666)
  await expect(readWorkerPublicKeys(publicFile)).rejects.toThrow(/others can write to it/)
})

test('each of the two is refused in place of the other', async () => {
  const { privateFile, publicFile } = await makeWorkerKeys(await emptyDirectory())
  await expect(readWorkerPublicKeys(privateFile)).rejects.toThrow(/private keys, which only workers may have/)
  await chmod(publicFile, 0o600)
  await expect(readWorkerKeys(publicFile)).rejects.toThrow(/public halves only; a worker needs the private keys/)
})

test.each([
  ['no JSON', 'canary-in-the-file', /it is no JWK set/],
  ['no set', '{"kty":"OKP","d":"canary-in-the-file"}', /it is no JWK set/],
  ['an empty set', '{"keys":[]}', /it is no JWK set/],
  [
    'a key of another kind',
    '{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"b","d":"canary-in-the-file"}]}',
    /keys\.0\.crv/,
  ],
  ['a half key', '{"keys":[{"kty":"OKP","crv":"X25519","kid":"a","d":"canary-in-the-file"}]}', /keys\.0\.x/],
])('%s is refused, and nothing of it is repeated', async (_what, text, said) => {
  const file = join(await emptyDirectory(), 'worker-keys.json')
  await writeFile(file, text, { mode: 0o600 })
  const error = await readWorkerKeys(file).catch((thrown: unknown) => thrown)
  expect(String(error)).toMatch(said)
  expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('canary')
})

test('a file that is not there is told with the command that makes it', async () => {
  const directory = await emptyDirectory()
  await expect(readWorkerKeys(join(directory, 'worker-keys.json'))).rejects.toThrow(
    `there is no such file. muster worker-keys make ${directory} makes one`,
  )
})
