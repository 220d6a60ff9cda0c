/** Keys that are used often: read from their file at most once a second, so that a rotation needs no restart. */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { readPrivateKeys, readPublicKeys } from './key-files.ts'
import { type AnyKey, type KeyKind, type KeySet, kindOf, signingKey } from './key-sets.ts'

const KEEP_MS = 1_000

/** What was made of a key file. */
export type KeptKeys<K> = {
  /** As the file was at most a second ago; when it cannot be used now, as it was when it last could. */
  fresh(): Promise<K>
}

/** Told when a key file that could be used before cannot be used now. */
export type OnKeyTrouble = (error: unknown) => void

/**
 * Keeps what `read` makes of a key file.
 * @throws {MusterError} what `read` throws, the first time
 */
export async function keepKeys<K>(read: () => Promise<K>, onTrouble: OnKeyTrouble): Promise<KeptKeys<K>> {
  let kept = await read()
  let readAtMs = performance.now()
  let reading: Promise<void> | undefined

  const readAgain = async () => {
    try {
      kept = await read()
    } catch (error) {
      onTrouble(error)
    }
    readAtMs = performance.now()
    reading = undefined
  }

  return {
    fresh: async () => {
      if (performance.now() - readAtMs >= KEEP_MS) {
        reading ??= readAgain()
        await reading
      }
      return kept
    },
  }
}

/**
 * Keeps the key of this kind in a private file that is to be signed with now; undefined when the file has none.
 * @throws {MusterError} invalid_config when the file cannot be used now
 */
export async function keepSigningKey<K extends AnyKey, P extends AnyKey>(
  { set, file, kind }: { set: KeySet<K, P>; file: string; kind: KeyKind },
  onTrouble: OnKeyTrouble,
): Promise<KeptKeys<{ readonly kid: string; readonly key: KeyObject } | undefined>> {
  const kept = await keepKeys(async () => {
    const keys = (await readPrivateKeys(set, file)).filter((jwk) => kindOf(jwk) === kind)
    return keys.map((jwk) => ({
      kid: jwk.kid,
      made_at: jwk.made_at,
      key: createPrivateKey({ key: { ...jwk }, format: 'jwk' }),
    }))
  }, onTrouble)
  return { fresh: async () => signingKey(await kept.fresh()) }
}

/**
 * Keeps the public halves of this kind in a public file, by key ID.
 * @throws {MusterError} invalid_config when the file cannot be used now
 */
export async function keepPublicKeys<K extends AnyKey, P extends AnyKey>(
  { set, file, kind }: { set: KeySet<K, P>; file: string; kind: KeyKind },
  onTrouble: OnKeyTrouble,
): Promise<KeptKeys<ReadonlyMap<string, KeyObject>>> {
  return await keepKeys(async () => publicHalves(await readPublicKeys(set, file), kind), onTrouble)
}

/**
 * Keeps the public halves of the keys of this kind in a private file, by key ID.
 * @throws {MusterError} invalid_config when the file cannot be used now
 */
export async function keepOwnPublicKeys<K extends AnyKey, P extends AnyKey>(
  { set, file, kind }: { set: KeySet<K, P>; file: string; kind: KeyKind },
  onTrouble: OnKeyTrouble,
): Promise<KeptKeys<ReadonlyMap<string, KeyObject>>> {
  return await keepKeys(async () => publicHalves(await readPrivateKeys(set, file), kind), onTrouble)
}

function publicHalves(keys: readonly AnyKey[], kind: KeyKind): ReadonlyMap<string, KeyObject> {
  const ofKind = keys.filter((jwk) => kindOf(jwk) === kind)
  return new Map(ofKind.map((jwk) => [jwk.kid, createPublicKey({ key: { ...jwk }, format: 'jwk' })]))
}
