/** The key files of workers and of servers: who may read them, what they may hold, and how they are rotated. */
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type AnyKey,
  dropOldKeys,
  ensureKeys,
  type KeySet,
  kindOf,
  makeKeys,
  readPrivateKeys,
  readPublicKeys,
  rotateKeys,
  SERVER_KEYS,
  WORKER_KEYS,
} from '@muster/trust'
import { describe, expect, onTestFinished, test } from 'vitest'

async function emptyDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'muster-keys-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return directory
}

const modeOf = async (file: string) => ((await stat(file)).mode & 0o777).toString(8)

const actsOn = <K extends AnyKey, P extends AnyKey>(set: KeySet<K, P>) => ({
  make: (directory: string) => makeKeys(set, directory),
  ensure: (directory: string) => ensureKeys(set, directory),
  rotate: (directory: string) => rotateKeys(set, directory),
  drop: (directory: string) => dropOldKeys(set, directory),
  read: (file: string) => readPrivateKeys(set, file),
  readPublic: (file: string) => readPublicKeys(set, file),
})

describe.each([
  { set: WORKER_KEYS, acts: actsOn(WORKER_KEYS), publicKinds: ['X25519', 'P-256'] },
  { set: SERVER_KEYS, acts: actsOn(SERVER_KEYS), publicKinds: ['Ed25519'] },
])('of $set.name', ({ set: { name, kinds, holders, others }, acts, publicKinds }) => {
  const { make, ensure, rotate, drop, read, readPublic } = acts

  test('the private file is for its owner alone, and the public one holds no private half', async () => {
    const { privateFile, publicFile, made } = await make(await emptyDirectory())
    expect([await modeOf(privateFile), await modeOf(publicFile)]).toEqual(['600', '644'])
    const keys = await read(privateFile)
    expect(keys.map(({ kid }) => kid)).toEqual(made)
    expect(keys.map(kindOf)).toEqual(kinds)
    expect((await readPublic(publicFile)).map(kindOf)).toEqual(publicKinds)
    const text = await readFile(publicFile, 'utf8')
    const secret = keys.map((key) => ('d' in key ? key.d : 'k' in key ? key.k : ''))
    expect(secret.map((half) => [half.length, text.includes(half)])).toEqual([
      [43, false],
      [43, false],
    ])
  })

  test('keys that are there are never made anew: what was done with them would be lost', async () => {
    const directory = await emptyDirectory()
    const { privateFile } = await make(directory)
    const before = await readFile(privateFile, 'utf8')
    await expect(make(directory)).rejects.toThrow(`holds keys already: muster ${name} rotate adds`)
    expect(await ensure(directory)).toMatchObject({ isNew: false })
    expect(await readFile(privateFile, 'utf8')).toBe(before)
  })

  test('a missing public file is made again from the private one', async () => {
    const directory = await emptyDirectory()
    const { publicFile } = await ensure(directory)
    const before = await readFile(publicFile, 'utf8')
    await rm(publicFile)
    expect(await ensure(directory)).toMatchObject({ isNew: false })
    expect(await readFile(publicFile, 'utf8')).toBe(before)
  })

  test('of many that make them at once one does', async () => {
    const directory = await emptyDirectory()
    const made = await Promise.all(Array.from({ length: 8 }, () => ensure(directory)))
    expect(made.filter(({ isNew }) => isNew)).toHaveLength(1)
    expect(await readdir(directory)).toEqual([`${name}.json`, `${name}.pub.json`])
  })

  test('many rotations at once lose no key, in either file', async () => {
    const directory = await emptyDirectory()
    const { privateFile, publicFile, made } = await make(directory)
    const rotated = await Promise.all(Array.from({ length: 8 }, () => rotate(directory)))
    const all = [...made, ...rotated.flatMap((change) => change.made)]
    expect((await read(privateFile)).map(({ kid }) => kid).toSorted()).toEqual(all.toSorted())
    expect(await readPublic(publicFile)).toHaveLength(9 * publicKinds.length)
  })

  test('rotating puts new keys first and keeps the others; dropping keeps the newest of each kind alone', async () => {
    const directory = await emptyDirectory()
    const first = await make(directory)
    const second = await rotate(directory)
    const ids = async () => (await read(first.privateFile)).map(({ kid }) => kid)
    expect(await ids()).toEqual([...second.made, ...first.made])
    expect((await readPublic(first.publicFile))[0]?.kid).toBe(second.made[0])
    expect(await drop(directory)).toMatchObject({ dropped: first.made })
    expect(await ids()).toEqual(second.made)
    expect(await modeOf(first.privateFile)).toBe('600')
  })

  test('a private file that others can read is refused, with the command that mends it', async () => {
    const { privateFile } = await make(await emptyDirectory())
    await chmod(privateFile, 0o644)
    await expect(read(privateFile)).rejects.toThrow(/others can read it \(mode 0644\)\. Correct it: chmod 0400/)
  })

  test('a public file that others can write to is refused: they would be believed', async () => {
    const { publicFile } = await make(await emptyDirectory())
    await chmod(publicFile, 0o666)
    await expect(readPublic(publicFile)).rejects.toThrow(/others can write to it/)
  })

  test('each of the two is refused in place of the other', async () => {
    const { privateFile, publicFile } = await make(await emptyDirectory())
    await expect(readPublic(privateFile)).rejects.toThrow(
      `it holds private keys, which only ${holders} may have; give ${others} ${name}.pub.json`,
    )
    await expect(read(publicFile)).rejects.toThrow(`public halves only; ${holders} need the private keys`)
  })

  test('a lock that stays is told, with what to do', async () => {
    const directory = await emptyDirectory()
    const { privateFile } = await make(directory)
    await writeFile(`${privateFile}.lock`, '')
    await expect(rotate(directory)).rejects.toThrow(`another process; if none is, remove the lock: rm ${privateFile}`)
  }, 30_000)

  test('a file that is not there is told with the command that makes it', async () => {
    const directory = await emptyDirectory()
    const said = `there is no such file. muster ${name} make ${directory} makes one`
    await expect(read(join(directory, `${name}.json`))).rejects.toThrow(said)
    await expect(rotate(directory)).rejects.toThrow(said)
  })
})

test('the files of workers and of servers are refused in place of each other', async () => {
  const directory = await emptyDirectory()
  const [workers, servers] = [await makeKeys(WORKER_KEYS, directory), await makeKeys(SERVER_KEYS, directory)]
  await expect(readPrivateKeys(SERVER_KEYS, workers.privateFile)).rejects.toThrow('it holds keys of workers')
  await expect(readPublicKeys(SERVER_KEYS, workers.publicFile)).rejects.toThrow('it holds keys of workers')
  await expect(readPrivateKeys(WORKER_KEYS, servers.privateFile)).rejects.toThrow('it holds keys of servers')
  await expect(readPublicKeys(WORKER_KEYS, servers.publicFile)).rejects.toThrow('it holds keys of servers')
})

test('a file that 0.2 made is read as it is, and a rotation adds what it lacks', async () => {
  const directory = await emptyDirectory()
  const { privateFile } = await makeKeys(WORKER_KEYS, directory)
  const [sealing] = await readPrivateKeys(WORKER_KEYS, privateFile)
  await writeFile(privateFile, JSON.stringify({ keys: [sealing] }), { mode: 0o600 })
  expect((await readPrivateKeys(WORKER_KEYS, privateFile)).map(kindOf)).toEqual(['X25519'])
  await rotateKeys(WORKER_KEYS, directory)
  expect((await readPrivateKeys(WORKER_KEYS, privateFile)).map(kindOf)).toEqual(['X25519', 'P-256', 'X25519'])
})

test.each([
  ['no JSON', 'canary-in-the-file', /it is no JWK set/],
  ['no set', '{"kty":"OKP","d":"canary-in-the-file"}', /it is no JWK set/],
  ['an empty set', '{"keys":[]}', /it is no JWK set/],
  [
    'a key of another kind',
    '{"keys":[{"kty":"OKP","crv":"Ed448","kid":"a","x":"b","d":"canary-in-the-file"}]}',
    /keys\.0\.crv/,
  ],
  ['a half key', '{"keys":[{"kty":"OKP","crv":"X25519","kid":"a","d":"canary-in-the-file"}]}', /keys\.0\.x/],
  ['an unknown type', '{"keys":[{"kty":"RSA","kid":"a","d":"canary-in-the-file"}]}', /keys\.0\.kty/],
])('%s is refused, and nothing of it is repeated', async (_what, text, said) => {
  const file = join(await emptyDirectory(), 'worker-keys.json')
  await writeFile(file, text, { mode: 0o600 })
  const error = await readPrivateKeys(WORKER_KEYS, file).catch((thrown: unknown) => thrown)
  expect(String(error)).toMatch(said)
  expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('canary')
})

test.each([
  ['worker-keys', WORKER_KEYS, 'X25519'],
  ['server-keys', SERVER_KEYS, 'Ed25519'],
  ['server-keys', SERVER_KEYS, 'oct'],
] as const)('%s without a key that is needed are refused', async (_name, set, kind) => {
  const { make, read } = set === WORKER_KEYS ? actsOn(WORKER_KEYS) : actsOn(SERVER_KEYS)
  const { privateFile } = await make(await emptyDirectory())
  const others = (await read(privateFile)).filter((key) => kindOf(key) !== kind)
  await writeFile(privateFile, JSON.stringify({ keys: others }), { mode: 0o600 })
  await expect(read(privateFile)).rejects.toThrow(`the set without`)
})
