/** Signing and checking work, ends and key records: only what was signed checks, by keys that are in the file now. */
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  dropOldKeys,
  makeKeys,
  openEndChecker,
  openEndSigner,
  openOwnWorkChecker,
  openRecordMacs,
  openWorkChecker,
  openWorkSigner,
  rotateKeys,
  SERVER_KEYS,
  WORKER_KEYS,
} from '@muster/trust'
import { CompactSign, importJWK } from 'jose'
import { describe, expect, onTestFinished, test } from 'vitest'
import { anHourLater } from '../../support/trust/key-age.ts'

async function emptyDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'muster-sign-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return directory
}

const untroubled = (error: unknown) => expect.fail(String(error))

/** What was read a second ago is read again. */
const nextReading = () => new Promise((resolve) => setTimeout(resolve, 1_050))

const partsOf = (text: string) => text.split('.')
const decoded = (part: string | undefined) => JSON.parse(Buffer.from(part ?? '', 'base64url').toString())
const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

describe('work', () => {
  const TERMS = { job: 'job_a', retries: 0 }

  async function signedWork() {
    const directory = await emptyDirectory()
    const { privateFile, publicFile, made } = await makeKeys(SERVER_KEYS, directory)
    const signer = await openWorkSigner(privateFile, untroubled)
    const checker = await openWorkChecker(publicFile, untroubled)
    return {
      directory,
      privateFile,
      publicFile,
      keyId: made[0],
      signer,
      checker,
      text: await signer.sign('job', TERMS),
    }
  }

  test('that was signed checks, and says what was signed', async () => {
    const { checker, text, keyId } = await signedWork()
    expect(await checker.check('job', text)).toEqual({ terms: TERMS })
    expect(decoded(partsOf(text)[0])).toEqual({ alg: 'EdDSA', kid: keyId, typ: 'muster-job+jws' })
  })

  test('that was changed does not', async () => {
    const { checker, text } = await signedWork()
    const [header, , signature] = partsOf(text)
    const changed = [header, encoded({ ...TERMS, retries: 9 }), signature].join('.')
    expect(await checker.check('job', changed)).toEqual({ refused: 'the signature does not match' })
  })

  test('is checked by a server, too, which knows its own keys and no other', async () => {
    const { privateFile, text, keyId } = await signedWork()
    const own = await openOwnWorkChecker(privateFile, untroubled)
    expect(await own.check('job', text)).toEqual({ terms: TERMS })
    const other = await signedWork()
    expect(await own.check('job', other.text)).toEqual({
      refused: `it is signed with the key "${other.keyId}", and this server knows ${keyId}`,
    })
  })

  test('of one kind is not of the other', async () => {
    const { checker, signer, text } = await signedWork()
    const order = await signer.sign('order', TERMS)
    expect(await checker.check('order', text)).toEqual({
      refused: 'it is a signature over something else: "muster-job+jws"',
    })
    expect(await checker.check('order', order)).toEqual({ terms: TERMS })
  })

  test('that somebody else signed does not check, and no key can be named in its place', async () => {
    const { checker, keyId } = await signedWork()
    const other = await makeKeys(SERVER_KEYS, await emptyDirectory())
    const forged = await (await openWorkSigner(other.privateFile, untroubled)).sign('job', TERMS)
    const [header, payload, signature] = partsOf(forged)
    expect(await checker.check('job', forged)).toEqual({
      refused: `it is signed with the key "${other.made[0]}", and this worker knows ${keyId}`,
    })
    const renamed = [encoded({ ...decoded(header), kid: keyId }), payload, signature].join('.')
    expect(await checker.check('job', renamed)).toEqual({ refused: 'the signature does not match' })
  })

  test('by another algorithm does not check: none, and one with the public key as its secret', async () => {
    const { checker, keyId, publicFile } = await signedWork()
    const unsigned = `${encoded({ alg: 'none', kid: keyId, typ: 'muster-job+jws' })}.${encoded(TERMS)}.`
    expect(await checker.check('job', unsigned)).toEqual({ refused: 'it is signed by "none", not by EdDSA' })
    const [{ x }] = JSON.parse(await readFile(publicFile, 'utf8')).keys
    const hmac = await new CompactSign(Buffer.from(JSON.stringify(TERMS)))
      .setProtectedHeader({ alg: 'HS256', kid: keyId ?? '', typ: 'muster-job+jws' })
      .sign(await importJWK({ kty: 'oct', k: x }, 'HS256'))
    expect(await checker.check('job', hmac)).toEqual({ refused: 'it is signed by "HS256", not by EdDSA' })
  })

  test('that is damaged is told as damaged', async () => {
    const { checker, text } = await signedWork()
    const [header = '', payload = '', signature = ''] = partsOf(text)
    for (const one of ['', 'nonsense', 'a.b.c', `${header}.${payload}`, `.${payload}.${signature}`, '{"alg":"none"}']) {
      expect(await checker.check('job', one)).toEqual({ refused: 'the signature is damaged' })
    }
    const shorter = `${header}.${payload}.${signature.slice(4)}`
    expect(await checker.check('job', shorter)).toEqual({ refused: 'the signature does not match' })
  })

  test('is signed with a new key an hour after it was made, when every worker has it', async () => {
    const { directory, privateFile, keyId, signer, checker, text } = await signedWork()
    const rotated = await rotateKeys(SERVER_KEYS, directory)
    await nextReading()
    const young = await signer.sign('job', TERMS)
    await anHourLater(privateFile)
    await nextReading()
    const old = await signer.sign('job', TERMS)
    expect([young, old].map((one) => decoded(partsOf(one)[0]).kid)).toEqual([keyId, rotated.made[0]])
    for (const one of [text, young, old]) expect(await checker.check('job', one)).toEqual({ terms: TERMS })
  })

  test('that a dropped key signed is refused without a restart', async () => {
    const { directory, keyId, checker, text, signer } = await signedWork()
    const rotated = await rotateKeys(SERVER_KEYS, directory)
    await dropOldKeys(SERVER_KEYS, directory)
    await nextReading()
    expect(await checker.check('job', text)).toEqual({
      refused: `it is signed with the key "${keyId}", and this worker knows ${rotated.made[0]}`,
    })
    expect(await checker.check('job', await signer.sign('job', TERMS))).toEqual({ terms: TERMS })
  })

  test('is checked by the last good keys while the file cannot be used, and somebody is told', async () => {
    const { publicFile, text } = await signedWork()
    const told: string[] = []
    const checker = await openWorkChecker(publicFile, (error) => told.push(String(error)))
    await chmod(publicFile, 0o666)
    await nextReading()
    expect(await checker.check('job', text)).toEqual({ terms: TERMS })
    expect(told).toEqual([expect.stringContaining('others can write to it')])
  })
})

describe('ends', () => {
  async function signedEnd() {
    const directory = await emptyDirectory()
    const { privateFile, publicFile, made } = await makeKeys(WORKER_KEYS, directory)
    const signer = await openEndSigner(privateFile, untroubled)
    const check = await (await openEndChecker(publicFile, untroubled)).fresh()
    const signature = await signer.sign('end')
    if (check === undefined || signature === undefined) throw new Error('new files have no key for ends')
    return { directory, privateFile, publicFile, keyId: made[1], signer, check, signature }
  }

  test('that were signed check, and no other text does', async () => {
    const { check, signature, keyId } = await signedEnd()
    expect(check('end', signature)).toBe(true)
    expect(check('End', signature)).toBe(false)
    expect(signature).toMatch(new RegExp(`^${keyId}\\.[\\w-]{86}$`))
  })

  test('that somebody else signed, or that are damaged, do not check', async () => {
    const { check, signature, keyId } = await signedEnd()
    const other = await signedEnd()
    const [, value = ''] = other.signature.split('.')
    const wrong = ['', '.', keyId ?? '', `${keyId}.`, `${keyId}.${value}`, other.signature, `${signature}.x`, value]
    expect(wrong.filter((one) => check('end', one))).toEqual([])
  })

  test('that have checked before do not once their key is dropped, or is another one of that ID', async () => {
    const { directory, publicFile, signature } = await signedEnd()
    const checker = await openEndChecker(publicFile, untroubled)
    const isFine = async () => (await checker.fresh())?.('end', signature)
    expect([await isFine(), await isFine()]).toEqual([true, true])
    const text = await readFile(publicFile, 'utf8')
    const other = JSON.parse(await readFile((await signedEnd()).publicFile, 'utf8'))
    const { keys } = JSON.parse(text)
    const exchanged = keys.map((key: { kid: string }, i: number) => Object.assign({}, other.keys[i], { kid: key.kid }))
    await writeFile(publicFile, JSON.stringify({ keys: exchanged }))
    await nextReading()
    expect(await isFine()).toBe(false)
    await writeFile(publicFile, text)
    await nextReading()
    expect(await isFine()).toBe(true)
    await rotateKeys(WORKER_KEYS, directory)
    await dropOldKeys(WORKER_KEYS, directory)
    await nextReading()
    expect(await isFine()).toBe(false)
  })

  test('are not signed by a worker whose file is from 0.2, until a key is added', async () => {
    const { directory, privateFile, publicFile } = await signedEnd()
    for (const file of [privateFile, publicFile]) {
      const { keys } = JSON.parse(await readFile(file, 'utf8'))
      await writeFile(file, JSON.stringify({ keys: keys.slice(0, 1) }))
    }
    const signer = await openEndSigner(privateFile, untroubled)
    const checker = await openEndChecker(publicFile, untroubled)
    expect([await signer.sign('end'), await checker.fresh()]).toEqual([undefined, undefined])
    await rotateKeys(WORKER_KEYS, directory)
    await nextReading()
    expect((await checker.fresh())?.('end', (await signer.sign('end')) ?? '')).toBe(true)
  })
})

describe('records of API keys', () => {
  async function macs() {
    const directory = await emptyDirectory()
    const { privateFile } = await makeKeys(SERVER_KEYS, directory)
    const opened = await openRecordMacs(privateFile, untroubled)
    return { directory, privateFile, now: () => opened.fresh() }
  }

  test('fit their MAC: neither another text nor another ID does, however they join', async () => {
    const { now } = await macs()
    const { make, fits } = await now()
    const mac = make('key1', 'record')
    expect(fits('key1', 'record', mac)).toBe(true)
    const others = [
      fits('key1', 'Record', mac),
      fits('key2', 'record', mac),
      fits('key', '1record', mac),
      fits('key1r', 'ecord', mac),
      fits('key1', 'record', ''),
      fits('key1', 'record', mac.slice(0, -4)),
      fits('key1', 'record', mac.slice(mac.indexOf('.'))),
      (await (await macs()).now()).fits('key1', 'record', mac),
    ]
    expect(others).toEqual(others.map(() => false))
  })

  test('keep their MAC through a rotation, which is renewed before the old key is dropped', async () => {
    const { directory, privateFile, now } = await macs()
    const old = (await now()).make('key1', 'record')
    await rotateKeys(SERVER_KEYS, directory)
    await anHourLater(privateFile)
    await nextReading()
    const rotated = await now()
    expect([rotated.fits('key1', 'record', old), rotated.isCurrent(old)]).toEqual([true, false])
    const renewed = rotated.make('key1', 'record')
    await dropOldKeys(SERVER_KEYS, directory)
    await nextReading()
    const dropped = await now()
    expect([old, renewed].map((mac) => dropped.fits('key1', 'record', mac))).toEqual([false, true])
  })
})
