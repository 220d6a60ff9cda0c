/**
 * Hosts that a request names itself, `user@host`, and the inventory does not have: whether the server and the key of
 * the caller allow them. Every job passes here before it is accepted. A worker asks its own setting before it connects.
 */
import type { Principal } from '@muster/access'
import { type Input, MusterError } from '@muster/contract'
import {
  type AdhocPolicy,
  chosenWay,
  hostsOutside,
  type Inventory,
  type InventoryHost,
  namedOnTheWay,
} from '@muster/inventory'

type Connect = NonNullable<Input<'submit_job'>['connect']>

/** Why a job may not run on this host, or not by this way; undefined where nothing of it is named by the request. */
export function refusalOfNamed(host: InventoryHost, policy: AdhocPolicy): string | undefined {
  for (const one of namedOnTheWay(host)) {
    const refusal = policy.refusesHost(one)
    if (refusal !== undefined) return one === host ? refusal : `${one.name}, on the way: ${refusal}`
  }
  return undefined
}

/**
 * Passes when the request may name the hosts among these that it does name, and those on the way to them.
 * @throws {MusterError} host_not_allowed, key_limit
 */
export function requireNamedHosts(
  caller: Principal,
  hosts: readonly InventoryHost[],
  { policy, inventory }: { policy: AdhocPolicy; inventory: Inventory },
): void {
  const { keyId, limits } = caller
  const onTheWay = new Set<string>()
  for (const host of hosts) {
    // There may be a hundred thousand, and most jobs name none of them itself.
    if (host.isOfRequest !== true) continue
    if (!limits.may_name_hosts) {
      const message = `targets: ${host.name} is not in the inventory, and the API key ${keyId} may name no other hosts`
      throw new MusterError('key_limit', message, { details: { field: 'targets' } })
    }
    const refusal = refusalOfNamed(host, policy)
    if (refusal !== undefined) {
      throw new MusterError('host_not_allowed', `${host.name}: ${refusal}`, { details: { field: 'targets' } })
    }
    for (const { name } of chosenWay(host)) onTheWay.add(name)
  }
  const [outside] = hostsOutside(inventory, limits.hosts, [...onTheWay])
  if (outside === undefined) return
  const message = `connect: ${outside}, on the way, is not among the hosts that the API key ${keyId} may touch`
  throw new MusterError('key_limit', message, { details: { field: 'connect' } })
}

/**
 * Passes when what the request says of how hosts are reached holds for its hosts: the inventory says it of its own.
 * @throws {MusterError} invalid_request
 */
export function requireUsedConnect(connect: Connect, hosts: readonly InventoryHost[]): void {
  if (Object.keys(connect).length === 0) return
  const refuse = (text: string) => {
    throw new MusterError('invalid_request', `connect: ${text}`, { details: { field: 'connect' } })
  }
  const own = hosts.find(({ isOfRequest, user }) => isOfRequest !== true && user !== (connect.user ?? user))
  if (own !== undefined) {
    const advice = `for another, write ${connect.user}@${own.name} in targets`
    refuse(`${own.name} is in the inventory, with the user ${own.user}; ${advice}`)
  }
  if (hosts.some(({ isOfRequest }) => isOfRequest === true)) return
  refuse('all these hosts are in the inventory, which says how they are reached; leave connect out')
}
