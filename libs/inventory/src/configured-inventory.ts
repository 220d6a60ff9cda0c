/**
 * The inventory of a process as its environment configures it: the variables, and what goes to the log. There is one
 * file for it, because every process must see the same hosts. It does not read the environment itself.
 */
import { userInfo } from 'node:os'
import { z } from 'zod'
import { type InventoryOptions, type InventorySource, openInventory } from './inventory-source.ts'

/** The variables, as fields for a process's configuration schema. */
export const inventoryVariables = {
  MUSTER_INVENTORY: z.string().describe('the inventory file'),
  SSH_SERVERS: z.string().optional().meta({ secret: true, description: 'name:host:user[:password],…' }),
  MUSTER_SSH_CONFIG: z.string().optional(),
  HOME: z.string().default('/'),
  USER: z.string().optional(),
  SSH_AUTH_SOCK: z.string().optional(),
}

const Variables = z.object(inventoryVariables)

/** The log for news of the inventory; a pino logger is one. */
type InventoryLog = {
  info(fields: object, text: string): void
  warn(text: string): void
  error(fields: object, text: string): void
}

/**
 * Opens the inventory and keeps it up to date until it is closed. `readText` reads its files: the process decides which
 * ones it believes.
 * @throws {MusterError} invalid_inventory when it cannot be used, with every mistake in the message
 */
export function openConfiguredInventory(
  variables: z.infer<typeof Variables>,
  log: InventoryLog,
  readText: Required<InventoryOptions>['readText'],
): Promise<InventorySource> {
  return openInventory({
    file: variables.MUSTER_INVENTORY,
    readText,
    sshServers: variables.SSH_SERVERS,
    sshConfigFile: variables.MUSTER_SSH_CONFIG,
    home: variables.HOME,
    defaultUser: variables.USER ?? userInfo().username,
    agentSocket: variables.SSH_AUTH_SOCK,
    onReload: ({ hosts }) => log.info({ hosts: hosts.size }, 'the changed inventory is in force'),
    onProblem: (error) => log.error({ err: error }, 'the inventory cannot be used; the last good one stays in force'),
    warn: (text) => log.warn(text),
  })
}
