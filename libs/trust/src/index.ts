export {
  dropOldKeys,
  ensureKeys,
  keyFiles,
  makeKeys,
  readPrivateKeys,
  readPublicKeys,
  rotateKeys,
} from './key-files.ts'
export { type AnyKey, hasKind, type KeyKind, type KeySet, kindOf, SERVER_KEYS, WORKER_KEYS } from './key-sets.ts'
export { openRecordMacs, type RecordMac, type RecordMacs } from './record-mac.ts'
export { type Opened, openSealer, openSecrets, type Sealer, type SealFor } from './sealed-secrets.ts'
export { type CheckEnd, type EndChecker, type EndSigner, openEndChecker, openEndSigner } from './signed-ends.ts'
export {
  type CheckedWork,
  openOwnWorkChecker,
  openWorkChecker,
  openWorkSigner,
  type WorkChecker,
  type WorkSigner,
} from './signed-work.ts'
