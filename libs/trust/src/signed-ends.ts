/**
 * Workers sign how runs ended, and servers check it: ECDSA over P-256 with SHA-256 (ES256 of RFC 7518), once per run
 * and therefore by Node itself, which is four times as fast as a JWS. What the signed text says is no matter of this
 * file.
 */
import { type KeyObject, sign, verify } from 'node:crypto'
import { CheckedSignatures } from './checked-signatures.ts'
import { keepPublicKeys, keepSigningKey, type OnKeyTrouble } from './kept-keys.ts'
import { WORKER_KEYS } from './key-sets.ts'

const DIGEST = 'sha256'
/** Two numbers of 32 bytes, as in a JWS, not DER. */
const ENCODING = 'ieee-p1363'

/** Signs ends. */
export type EndSigner = {
  /** `keyId.signature`, at most 200 characters; undefined when the worker has no key that signs ends. */
  sign(text: string): Promise<string | undefined>
}

/** Whether this signature of a worker covers this text. */
export type CheckEnd = (text: string, signature: string) => boolean

/** Checks ends. */
export type EndChecker = {
  /** What checks by the keys as they are now, for one batch; undefined when there is no key to check with. */
  fresh(): Promise<CheckEnd | undefined>
}

/**
 * Signs by the private keys of workers.
 * @param onTrouble told when the file cannot be used any more; the keys that it held are used until it can
 * @throws {MusterError} invalid_config when the file cannot be used now
 */
export async function openEndSigner(workerKeyFile: string, onTrouble: OnKeyTrouble): Promise<EndSigner> {
  const kept = await keepSigningKey({ set: WORKER_KEYS, file: workerKeyFile, kind: 'P-256' }, onTrouble)
  return {
    sign: async (text) => {
      const signing = await kept.fresh()
      if (signing === undefined) return undefined
      const signature = sign(DIGEST, Buffer.from(text), { key: signing.key, dsaEncoding: ENCODING })
      return `${signing.kid}.${signature.toString('base64url')}`
    },
  }
}

/**
 * Checks by the public keys of workers.
 * @param onTrouble told when the file cannot be used any more; the keys that it held are used until it can
 * @throws {MusterError} invalid_config when the file cannot be used now
 */
export async function openEndChecker(workerPublicKeyFile: string, onTrouble: OnKeyTrouble): Promise<EndChecker> {
  const kept = await keepPublicKeys({ set: WORKER_KEYS, file: workerPublicKeyFile, kind: 'P-256' }, onTrouble)
  const checked = new Map<string, CheckedSignatures>()
  const checkedBy = (kid: string, key: KeyObject): CheckedSignatures => {
    const known = checked.get(kid)
    if (known?.isOf(key)) return known
    const made = new CheckedSignatures(key)
    checked.set(kid, made)
    return made
  }
  return {
    fresh: async () => {
      const keys = await kept.fresh()
      if (keys.size === 0) return undefined
      for (const kid of checked.keys()) if (!keys.has(kid)) checked.delete(kid)
      return (text, signature) => {
        const [kid = '', value, ...more] = signature.split('.')
        const key = keys.get(kid)
        if (key === undefined || value === undefined || more.length > 0) return false
        const options = { key, dsaEncoding: ENCODING } as const
        return checkedBy(kid, key).fits(text, value, () =>
          verify(DIGEST, Buffer.from(text), options, Buffer.from(value, 'base64url')),
        )
      }
    },
  }
}
