/** A good private key that no host knows. */
import { generateKeyPairSync } from 'node:crypto'

/** Its text, another one each time. */
export function strangeKey(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}
