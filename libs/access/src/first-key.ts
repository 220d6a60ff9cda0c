/**
 * The first API key: made once for a ledger, however many servers start on it at once, or given by the operator.
 *
 * The text of a made key is only in the file `api-key` in the data directory; Redis holds its digest.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { MusterError } from '@muster/contract'
import { ask } from '@muster/ledger'
import { type KeyLedger, recordForm } from './key-ledger.ts'
import { newText, readRecord, readRecords } from './key-record.ts'
import { digestOf, KEY_FORM, makeKey, parseKey } from './key-text.ts'

/** The ID of the key that the first server makes. It is fixed, so that only one server can win it. */
const FIRST_KEY_ID = 'first'

/** How long a server waits for the key file of another one that starts at the same time, and how often it looks. */
const OTHER_SERVER_MS = 2_000
const LOOK_EVERY_MS = 50

/**
 * Where the first key comes from.
 * `made`: this call made it. `key` is kept only in `file`; show it on a terminal, and nowhere that lines are kept.
 * `given`: the operator gave it. If it was revoked, it stays revoked, since `revokedAt`.
 * `known`: it was made before, and `file` holds it.
 * `elsewhere`: it was made before, but `file` does not hold it. `advice` says how to get a new one.
 */
export type FirstKey =
  | { readonly kind: 'made'; readonly key: string; readonly file: string }
  | { readonly kind: 'given'; readonly keyId: string; readonly revokedAt: string | null }
  | { readonly kind: 'known'; readonly file: string }
  | { readonly kind: 'elsewhere'; readonly file: string; readonly advice: string }

/**
 * Makes sure that there is a key to call the server with.
 * @throws {MusterError} invalid_config when `givenKey` does not look like a key, or the file cannot be written
 * @throws {MusterError} ledger_full; ledger_unavailable
 */
export async function ensureFirstKey(
  ledger: KeyLedger,
  options: { dataDir: string; givenKey?: string | undefined },
): Promise<FirstKey> {
  if (options.givenKey !== undefined) return acceptGivenKey(ledger, options.givenKey)
  const file = join(options.dataDir, 'api-key')
  if ((await readRecord(ledger, FIRST_KEY_ID)) === undefined) {
    const key = await makeFirstKey(ledger, options.dataDir, file)
    if (key !== undefined) return { kind: 'made', key, file }
    await untilInFile(ledger, file)
  }
  return (await isInFile(ledger, file)) ? { kind: 'known', file } : { kind: 'elsewhere', file, advice: advice(ledger) }
}

async function acceptGivenKey(ledger: KeyLedger, key: string): Promise<FirstKey> {
  const parsed = parseKey(key)
  if (parsed === undefined) {
    const message = `MUSTER_API_KEY (not shown, it is a secret) is not valid; accepted: ${KEY_FORM}`
    throw new MusterError('invalid_config', message)
  }
  const { redis, keys } = ledger
  const { keyId } = parsed
  const records = await readRecords(ledger)
  const sha256 = digestOf(key).toString('hex')
  // A known key stays as it is: one that was revoked must not come back with the next start.
  const known = records.find((record) => record.key.key_id === keyId && record.sha256 === sha256)
  // Remove a replaced key first: it must no longer be accepted, even if Redis is too full to store the new one.
  const replaced = records.filter((record) => record.source === 'given' && record.key.key_id !== keyId)
  for (const { key: old } of replaced) await ask(redis, () => redis.hdel(keys.apiKeys, old.key_id))
  if (known === undefined) {
    const { stored } = await recordForm(ledger)
    const said = newText(key, { source: 'given', created_at: new Date().toISOString() })
    await ask(redis, () => redis.hset(keys.apiKeys, keyId, stored(keyId, said)))
  }
  return { kind: 'given', keyId, revokedAt: known?.key.revoked_at ?? null }
}

/** The key, or undefined when another server was faster. */
async function makeFirstKey(ledger: KeyLedger, dataDir: string, file: string): Promise<string | undefined> {
  const { redis, keys } = ledger
  const key = makeKey(FIRST_KEY_ID)
  // Write the file first: a server that dies in between leaves a file without a key, never a key that nobody knows.
  const draft = join(dataDir, `.api-key-${randomBytes(6).toString('hex')}`)
  await writing(file, async () => {
    await mkdir(dataDir, { recursive: true, mode: 0o700 })
    await writeFile(draft, `${key}\n`, { mode: 0o600, flag: 'wx' })
  })
  try {
    const { stored } = await recordForm(ledger)
    const said = newText(key, { source: 'made', created_at: new Date().toISOString() })
    const record = stored(FIRST_KEY_ID, said)
    const won = await ask(redis, () => redis.hsetnx(keys.apiKeys, FIRST_KEY_ID, record))
    if (won === 0) return undefined
    await writing(file, () => rename(draft, file)).catch(async (error: unknown) => {
      await ask(redis, () => redis.hdel(keys.apiKeys, FIRST_KEY_ID))
      throw error
    })
    return key
  } finally {
    await rm(draft, { force: true })
  }
}

async function writing(file: string, write: () => Promise<void>): Promise<void> {
  try {
    await write()
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    const message = `the API key cannot be written to ${file} (MUSTER_DATA_DIR): ${why}`
    throw new MusterError('invalid_config', message, { cause: error })
  }
}

/** Waits for the faster server to write the file, in case both share the data directory. */
async function untilInFile(ledger: KeyLedger, file: string): Promise<void> {
  const deadlineMs = performance.now() + OTHER_SERVER_MS
  while (!(await isInFile(ledger, file)) && performance.now() < deadlineMs) await setTimeout(LOOK_EVERY_MS)
}

async function isInFile(ledger: KeyLedger, file: string): Promise<boolean> {
  const record = await readRecord(ledger, FIRST_KEY_ID)
  try {
    const key = (await readFile(file, 'utf8')).trim()
    return digestOf(key).toString('hex') === record?.sha256
  } catch {
    // Whatever the cause, the operator is told that the file does not hold the key.
    return false
  }
}

function advice(ledger: KeyLedger): string {
  return (
    'start the server with a key of your own in MUSTER_API_KEY, or let it make a new one: ' +
    `redis-cli hdel '${ledger.keys.apiKeys}' ${FIRST_KEY_ID}, and start the server again`
  )
}
