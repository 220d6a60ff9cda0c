/**
 * Protects the records of API keys: HMAC-SHA256 (RFC 2104) by a key that only servers have, over the ID of the API key
 * and the text of its record, so that a record that was written by hand, or moved to another ID, does not fit.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { keepKeys, type OnKeyTrouble } from './kept-keys.ts'
import { readPrivateKeys } from './key-files.ts'
import { SERVER_KEYS, signingKey } from './key-sets.ts'

/** Makes and checks MACs by the keys as they are now, for one batch. */
export type RecordMac = {
  /** `keyId.mac`, where keyId is that of the key of servers. */
  make(apiKeyId: string, text: string): string
  /** Whether it is the MAC of this text, by any of the keys. */
  fits(apiKeyId: string, text: string, mac: string): boolean
  /** Whether a new MAC would be made by the same key. One that is not may be made again before its key is dropped. */
  isCurrent(mac: string): boolean
}

/** Gives the MAC of the moment. */
export type RecordMacs = {
  fresh(): Promise<RecordMac>
}

/**
 * MACs by the keys of servers.
 * @param onTrouble told when the file cannot be used any more; the keys that it held are used until it can
 * @throws {MusterError} invalid_config when the file cannot be used now
 */
export async function openRecordMacs(serverKeyFile: string, onTrouble: OnKeyTrouble): Promise<RecordMacs> {
  const kept = await keepKeys(async () => {
    return (await readPrivateKeys(SERVER_KEYS, serverKeyFile)).filter((key) => key.kty === 'oct')
  }, onTrouble)
  return {
    fresh: async () => {
      const keys = await kept.fresh()
      const current = signingKey(keys)
      if (current === undefined) throw new Error(`${serverKeyFile} was accepted without a key for records`)
      return {
        make: (apiKeyId, text) => `${current.kid}.${macOf(current.k, apiKeyId, text).toString('base64url')}`,
        fits: (apiKeyId, text, mac) => {
          const [kid, value = ''] = mac.split('.', 2)
          const key = keys.find((one) => one.kid === kid)
          const given = Buffer.from(value, 'base64url')
          if (key === undefined) return false
          const right = macOf(key.k, apiKeyId, text)
          return given.length === right.length && timingSafeEqual(given, right)
        },
        isCurrent: (mac) => mac.startsWith(`${current.kid}.`),
      }
    },
  }
}

function macOf(key: string, apiKeyId: string, text: string): Buffer {
  return createHmac('sha256', Buffer.from(key, 'base64url'))
    .update(JSON.stringify([apiKeyId, text]))
    .digest()
}
