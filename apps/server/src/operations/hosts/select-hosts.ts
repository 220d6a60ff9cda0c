/** Resolves the target expressions of a request to hosts, in the order in which the hosts will start. */
import { randomInt } from 'node:crypto'
import { type Input, MusterError } from '@muster/contract'
import type { Inventory } from '@muster/inventory'
import { byLabel, byName, shuffled } from './order-hosts.ts'

/** The fields of a request that select hosts. */
export type Selecting = Pick<
  Input<'submit_job'>,
  'targets' | 'exclude' | 'pick' | 'order' | 'limit' | 'seed' | 'connect'
>

const SEEDS = 2 ** 32

/**
 * The selected hosts, at least one, and the seed if chance decided anything. Excluded hosts are removed before any are
 * picked, so that neither `pick` nor `limit` can bring one back, and `pick: 3` of enough hosts gives three.
 * @throws {MusterError} invalid_target, unknown_target, no_targets; each names the field at fault
 */
export function selectHosts(inventory: Inventory, selecting: Selecting): { hosts: string[]; seed: number | undefined } {
  const { targets, exclude, pick, order, limit, connect } = selecting
  const selected = resolveHosts(inventory, targets, connect)
  const excluded = new Set(exclude === undefined ? [] : resolveField(inventory, 'exclude', exclude, { connect }))
  const allowed = selected.filter((host) => !excluded.has(host))
  if (allowed.length === 0) {
    const message = `all of the ${selected.length} selected hosts are excluded`
    throw new MusterError('no_targets', message, { details: { field: 'exclude' } })
  }
  const isDrawn = order === 'shuffle' || (pick !== undefined && pick < allowed.length)
  const seed = isDrawn ? (selecting.seed ?? randomInt(SEEDS)) : undefined
  const drawn = seed === undefined ? allowed : shuffled(allowed, seed).slice(0, pick)
  if (order === 'shuffle') return { hosts: drawn.slice(0, limit), seed }
  const picked = new Set(drawn)
  const hosts = inOrder(
    allowed.filter((host) => picked.has(host)),
    order,
    inventory,
  )
  return { hosts: hosts.slice(0, limit), seed }
}

/**
 * The hosts that the expression in a field selects, in order; may be empty. With `within`, no other hosts are known.
 * @throws {MusterError} invalid_target, unknown_target; each names the field
 */
export function resolveField(
  inventory: Inventory,
  field: 'targets' | 'exclude' | 'hosts',
  expression: string,
  how: Parameters<Inventory['resolve']>[1] = {},
): readonly string[] {
  try {
    return inventory.resolve(expression, how)
  } catch (error) {
    if (!(error instanceof MusterError)) throw error
    throw new MusterError(error.code, error.message, { details: { field, ...error.details }, cause: error })
  }
}

/**
 * The hosts that `targets` selects in this version of the inventory, in order; at least one.
 * @throws {MusterError} invalid_target, unknown_target, no_targets; each names the field `targets`
 */
export function resolveHosts(
  inventory: Inventory,
  targets: string,
  connect?: Input<'submit_job'>['connect'],
): readonly string[] {
  const hosts = resolveField(inventory, 'targets', targets, { connect })
  if (hosts.length > 0) return hosts
  const message = `"${targets.slice(0, 200)}" selects no host of the ${inventory.hosts.size} in the inventory`
  throw new MusterError('no_targets', message, { details: { field: 'targets' } })
}

function inOrder(hosts: string[], order: string, inventory: Inventory): string[] {
  if (order === 'name') return byName(hosts)
  const [, label] = /^label:(.+)$/.exec(order) ?? []
  if (label === undefined) return hosts
  return byLabel(hosts, (host) => {
    const labels = inventory.hosts.get(host)?.labels ?? {}
    return Object.hasOwn(labels, label) ? labels[label] : undefined
  })
}
