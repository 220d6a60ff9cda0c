/** Lists the hosts of the inventory. */
import { type Host, type Input, MusterError, type Output } from '@muster/contract'
import type { AdhocPolicy, Inventory, InventoryHost } from '@muster/inventory'
import { refusalOfNamed } from './named-hosts.ts'
import { resolveHosts } from './select-hosts.ts'

/**
 * A page of hosts, without credentials.
 * @throws {MusterError} invalid_target, unknown_target, no_targets; invalid_request for a cursor that no page gave out
 */
export function listHosts(inventory: Inventory, input: Input<'list_hosts'>, policy: AdhocPolicy): Output<'list_hosts'> {
  const names = resolveHosts(inventory, input.targets)
  const start = input.cursor === undefined ? 0 : readCursor(input.cursor)
  const end = start + input.limit
  const hosts = names.slice(start, end).flatMap((name) => {
    const host = inventory.find(name)
    return host === undefined ? [] : [publicHost(host, policy)]
  })
  return { hosts, total: names.length, next_cursor: end < names.length ? writeCursor(end) : null }
}

function publicHost(host: InventoryHost, policy: AdhocPolicy): Host {
  const { name, aliases, address, port, user, jump = null, groups, labels, notTaken = [] } = host
  const { hostKeyAlias = null, knownHostsFiles = [] } = host
  const disabled = host.disabled ?? refusalOfNamed(host, policy) ?? null
  return {
    name,
    aliases: [...aliases],
    address,
    port,
    user,
    jump,
    host_key_alias: hostKeyAlias,
    known_hosts_files: [...knownHostsFiles],
    groups: [...groups],
    labels: { ...labels },
    disabled,
    not_taken: [...notTaken],
  }
}

function writeCursor(index: number): string {
  return Buffer.from(`hosts:${index}`).toString('base64url')
}

function readCursor(cursor: string): number {
  const [, index] = /^hosts:(\d{1,9})$/.exec(Buffer.from(cursor, 'base64url').toString()) ?? []
  if (index !== undefined) return Number(index)
  throw new MusterError('invalid_request', `cursor: "${cursor}" is not the next_cursor of a page of hosts`, {
    details: { field: 'cursor' },
  })
}
