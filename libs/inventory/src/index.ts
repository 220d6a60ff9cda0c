export {
  inventoryVariables,
  openConfiguredInventory,
  openWorkerInventory,
  workerInventoryVariables,
} from './configured-inventory.ts'
export type {
  AuthorityRef,
  CredentialRef,
  GivenSecretRef,
  Hop,
  InventoryHost,
  SecretRef,
} from './hosts/inventory-host.ts'
export { wayOf } from './hosts/way.ts'
export { hostsOutside } from './hosts-outside.ts'
export { type Inventory, parseInventory } from './inventory.ts'
export { type AdhocPolicy, readAdhocPolicy } from './request/adhoc-policy.ts'
export { chosenWay, namedOnTheWay } from './request/request-hosts.ts'
export { ownAgent } from './secrets/agent-socket.ts'
export { SecretRefused } from './secrets/confined-file.ts'
export { filesOfKey, type KeyContent, type KeyRef, readKey } from './secrets/key.ts'
export { findNamedProgram } from './secrets/named-program.ts'
export { readSecret, type SecretSources } from './secrets/secret.ts'
export type { SecretDirectories } from './secrets/secret-directories.ts'
export { requestCredentials, requestSudoPassword } from './sources/request-credentials.ts'
export { nearest, nearestHint } from './targets/nearest.ts'
