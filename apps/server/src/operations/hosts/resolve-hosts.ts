/** Resolves the target expressions of a request to the hosts that they select now. */
import { MusterError } from '@muster/contract'
import type { Inventory } from '@muster/inventory'

/**
 * The hosts that the expression in a field selects, in order; may be empty. With `within`, no other hosts are known.
 * @throws {MusterError} invalid_target, unknown_target; each names the field
 */
export function resolveField(
  inventory: Inventory,
  field: 'targets' | 'exclude',
  expression: string,
  within?: readonly string[],
): readonly string[] {
  try {
    return inventory.resolve(expression, within)
  } catch (error) {
    if (!(error instanceof MusterError)) throw error
    throw new MusterError(error.code, error.message, { details: { field, ...error.details }, cause: error })
  }
}

/**
 * The hosts that `targets` selects in this version of the inventory, in order, at least one.
 * @throws {MusterError} invalid_target, unknown_target, no_targets; each names the field `targets`
 */
export function resolveHosts(inventory: Inventory, targets: string): readonly string[] {
  const hosts = resolveField(inventory, 'targets', targets)
  if (hosts.length > 0) return hosts
  const message = `"${targets.slice(0, 200)}" selects no host of the ${inventory.hosts.size} in the inventory`
  throw new MusterError('no_targets', message, { details: { field: 'targets' } })
}
