export { type Opened, openSealer, openSecrets, type Sealer, type SealFor } from './sealed-secrets.ts'
export {
  dropOldWorkerKeys,
  ensureWorkerKeys,
  makeWorkerKeys,
  readWorkerKeys,
  readWorkerPublicKeys,
  rotateWorkerKeys,
  type WorkerKeyFiles,
  workerKeyFiles,
} from './worker-keys.ts'
