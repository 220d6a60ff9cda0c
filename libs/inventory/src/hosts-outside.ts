/** Compares hosts with the target expressions of an API key, in one version of the inventory. */
import { MusterError } from '@muster/contract'
import type { Inventory } from './inventory.ts'

/**
 * Those of `hosts` that not all of the expressions select; none without expressions. An expression that cannot be
 * resolved here selects no host.
 */
export function hostsOutside(
  inventory: Inventory,
  expressions: readonly string[],
  hosts: readonly string[],
): readonly string[] {
  const outside = new Set(expressions.flatMap((expression) => outsideOf(inventory, expression, hosts)))
  return hosts.filter((host) => outside.has(host))
}

function outsideOf(inventory: Inventory, expression: string, hosts: readonly string[]): readonly string[] {
  try {
    return hosts.filter((host) => !inventory.selects(expression, host))
  } catch (error) {
    if (error instanceof MusterError) return hosts
    throw error
  }
}
