export { ensureFirstKey, type FirstKey } from './first-key.ts'
export { createKey, listKeys, type RevokedFamily, revokeKey, rotateKey } from './manage-keys.ts'
export { type KeyShare, type Principal, requireScope } from './principal.ts'
export { type KeyStore, openKeyStore } from './verify-key.ts'
