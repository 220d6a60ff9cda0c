export { ensureFirstKey, type FirstKey } from './first-key.ts'
export { createKey, listKeys, revokeKey } from './manage-keys.ts'
export { type Principal, requireScope } from './principal.ts'
export { type KeyStore, openKeyStore } from './verify-key.ts'
