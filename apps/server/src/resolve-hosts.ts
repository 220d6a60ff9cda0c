/** From the target expression of a request to the hosts it stands for now. */
import { MusterError } from '@muster/contract'
import type { Inventory } from '@muster/inventory'

/**
 * The hosts that an expression selects in this version of the inventory, in order. Those of `beside` are known as well.
 * @throws {MusterError} invalid_target, unknown_target, no_targets; each names the field `targets`
 */
export function resolveHosts(inventory: Inventory, targets: string, beside: readonly string[] = []): readonly string[] {
  try {
    return inventory.resolve(targets, beside)
  } catch (error) {
    if (!(error instanceof MusterError) || error.details.field !== undefined) throw error
    // A fault inside a range is found by the parser of ranges, which serves other fields as well.
    throw new MusterError(error.code, error.message, { details: { field: 'targets', ...error.details }, cause: error })
  }
}
