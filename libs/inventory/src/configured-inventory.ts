/**
 * The inventory of a process as its environment configures it: the variables, and what goes to the log. There is one
 * file for it, because every process must see the same hosts. It does not read the environment itself.
 */
import { userInfo } from 'node:os'
import type { MusterError } from '@muster/contract'
import { z } from 'zod'
import type { Inventory } from './inventory.ts'
import { type InventoryOptions, type InventorySource, openInventory } from './inventory-source.ts'
import { adhocHosts } from './request/adhoc-policy.ts'
import { earlyRefusals } from './secrets/early-refusals.ts'
import type { SecretDirectories } from './secrets/secret-directories.ts'
import { expandHome } from './sources/credentials.ts'

/** The variables, as fields for a process's configuration schema. */
export const inventoryVariables = {
  MUSTER_INVENTORY: z.string().describe('the inventory file'),
  SSH_SERVERS: z.string().optional().meta({ secret: true, description: 'name:host:user[:password],…' }),
  MUSTER_SSH_CONFIG: z.string().optional(),
  MUSTER_PROXY_COMMANDS: pathList('programs').describe('programs that a ProxyCommand of the SSH config may run'),
  MUSTER_ADHOC_HOSTS: adhocHosts.describe('which hosts requests may name: off, known_hosts, networks, name patterns'),
  HOME: z.string().default('/'),
  USER: z.string().optional(),
  SSH_AUTH_SOCK: z.string().optional(),
}

/** Those of a worker, which alone reads secrets. */
export const workerInventoryVariables = {
  ...inventoryVariables,
  MUSTER_SECRET_DIRS: pathList('directories'),
  MUSTER_ADHOC_KEY_DIRS: pathList('directories'),
  MUSTER_CREDENTIAL_COMMANDS: pathList('programs and directories of programs'),
  MUSTER_CREDENTIAL_COMMAND_ENV: z
    .string()
    .default('')
    .transform((text) =>
      text
        .split(',')
        .map((name) => name.trim())
        .filter((name) => name !== ''),
    )
    .refine((names) => names.every((name) => /^[A-Za-z_]\w*$/.test(name) && !OWN_VARIABLE.test(name)), {
      error: 'names of variables separated by ",", none of them Muster\'s own',
    }),
}

function pathList(what: string) {
  return z
    .string()
    .optional()
    .refine((text) => listed(text).every((path) => /^(?:\/|~\/|~$)/.test(path)), {
      error: `${what} separated by ":", each beginning with / or ~/`,
    })
}

/** Its keys and the passwords of hosts are for no other program. */
const OWN_VARIABLE = /^(MUSTER_.*|REDIS_URL|SSH_SERVERS)(_FILE)?$/

const Variables = z.object(inventoryVariables)
type Configured = z.infer<typeof Variables>

const WorkerVariables = z.object(workerInventoryVariables)

/** The log for news of the inventory; a pino logger is one. */
type InventoryLog = {
  info(fields: object, text: string): void
  warn(text: string): void
  error(fields: object, text: string): void
}

/** What the process lends: how it reads files, as it decides which ones it believes, and its environment. */
export type Lent = Required<Pick<InventoryOptions, 'readText' | 'env'>>

/**
 * Opens the inventory and keeps it up to date until it is closed.
 * @throws {MusterError} invalid_inventory when it cannot be used, with every mistake in the message
 */
export function openConfiguredInventory(
  variables: Configured,
  log: InventoryLog,
  lent: Lent,
): Promise<InventorySource> {
  return openInventory(optionsOf(variables, log, lent))
}

/**
 * The same for a worker, with the directories that it reads secrets from, and the programs that may give some. Files
 * and programs that will be refused are told in the log, now and after each change.
 * @throws {MusterError} invalid_inventory when it cannot be used, with every mistake in the message
 */
export async function openWorkerInventory(
  variables: z.infer<typeof WorkerVariables>,
  log: InventoryLog,
  lent: Lent,
): Promise<{
  inventory: InventorySource
  directories: SecretDirectories
  programs: readonly string[]
  /** Those that a ProxyCommand may run. */
  proxyPrograms: readonly string[]
}> {
  const { onReload, ...options } = optionsOf(variables, log, lent)
  const told = new Set<string>()
  const tell = async ({ hosts }: Inventory) => {
    for (const refusal of await earlyRefusals(hosts.values(), directories, programs)) {
      if (!told.has(refusal)) log.warn(refusal)
      told.add(refusal)
    }
  }
  const tellSoon = (version: Inventory) => {
    // No start waits for this. The files are checked again when they are read, and the run then says why.
    tell(version).catch(() => {})
  }
  const programs = listed(variables.MUSTER_CREDENTIAL_COMMANDS).map((path) => expandHome(path, variables.HOME))
  const inventory = await openInventory({
    ...options,
    onReload: (changed) => {
      onReload(changed)
      tellSoon(changed)
    },
  })
  const directories: SecretDirectories = {
    home: variables.HOME,
    named: listed(variables.MUSTER_SECRET_DIRS).map((path) => expandHome(path, variables.HOME)),
    forRequests: listed(variables.MUSTER_ADHOC_KEY_DIRS).map((path) => expandHome(path, variables.HOME)),
    inventory: inventory.directory,
  }
  tellSoon(inventory.current())
  return { inventory, directories, programs, proxyPrograms: options.proxyPrograms }
}

function optionsOf(variables: Configured, log: InventoryLog, lent: Lent) {
  return {
    file: variables.MUSTER_INVENTORY,
    ...lent,
    mayBeEmpty: variables.MUSTER_ADHOC_HOSTS.allowsAny,
    sshServers: variables.SSH_SERVERS,
    sshConfigFile: variables.MUSTER_SSH_CONFIG,
    home: variables.HOME,
    defaultUser: variables.USER ?? ownName(),
    agentSocket: variables.SSH_AUTH_SOCK,
    proxyPrograms: listed(variables.MUSTER_PROXY_COMMANDS).map((path) => expandHome(path, variables.HOME)),
    onReload: ({ hosts }: Inventory) => log.info({ hosts: hosts.size }, 'the changed inventory is in force'),
    onProblem: (error: MusterError) =>
      log.error({ err: error }, 'the inventory cannot be used; the last good one stays in force'),
    warn: (text: string) => log.warn(text),
  }
}

/** The name of the user that this process runs as. */
function ownName(): string | undefined {
  try {
    return userInfo().username
  } catch {
    // A container may run as a user that the system does not know.
    return undefined
  }
}

/** The paths of a list; an empty entry is nothing. */
function listed(text: string | undefined): string[] {
  return (text ?? '').split(':').filter((path) => path !== '')
}
