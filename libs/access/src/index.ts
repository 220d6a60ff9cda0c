export { ensureFirstKey, type FirstKey } from './first-key.ts'
export { type KeyStore, openKeyStore } from './verify-key.ts'
