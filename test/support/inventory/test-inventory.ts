/** An inventory for a test: its own directory, real files, and everything that it tells. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { MusterError } from '@muster/contract'
import type { Inventory } from '@muster/inventory'
import { onTestFinished } from 'vitest'
import { type InventoryOptions, openInventory } from '../../../libs/inventory/src/inventory-source.ts'

/** A fresh directory, removed when the test ends. */
export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'muster-inventory-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return directory
}

/** Opens the inventory of a directory, collects what it tells, and closes it when the test ends. */
export async function openTestInventory(directory: string, options: Partial<InventoryOptions> = {}) {
  const warnings: string[] = []
  const problems: MusterError[] = []
  const told = new Set<() => void>()
  const tell = () => {
    for (const check of told) check()
  }
  const versions: Inventory[] = []
  const source = await openInventory({
    file: join(directory, 'inventory.yaml'),
    home: directory,
    defaultUser: 'me',
    pollIntervalMs: 10,
    warn: (text) => warnings.push(text),
    onReload: (inventory) => {
      versions.push(inventory)
      tell()
    },
    onProblem: (error) => {
      problems.push(error)
      tell()
    },
    ...options,
  })
  onTestFinished(() => source.close())
  /** Resolves when the condition holds; it can only change when something is told. */
  const until = (condition: () => boolean) =>
    new Promise<void>((resolve) => {
      const check = () => {
        if (condition()) resolve()
      }
      told.add(check)
      check()
    })
  const names = () => [...source.current().hosts.keys()]
  return { source, warnings, problems, versions, until, names }
}

/** The text of an inventory file with these hosts. */
export function hostsFile(...names: string[]): string {
  return `hosts:\n${names.map((name) => `  ${name}: {}\n`).join('')}`
}
