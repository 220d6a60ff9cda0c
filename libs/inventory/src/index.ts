export { type Inventory, parseInventory } from './inventory.ts'
export type { CredentialRef, HostDefaults, InventoryHost, SecretRef } from './inventory-host.ts'
export { type InventoryOptions, type InventorySource, openInventory } from './inventory-source.ts'
export { readSecret } from './secret.ts'
