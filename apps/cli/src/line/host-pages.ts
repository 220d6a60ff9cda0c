/** The hosts that a target expression selects, in as many pages as it takes. */
import type { Host } from '@muster/contract'
import type { Client } from '../client/client.ts'
import { checkedInput } from './checked-input.ts'

/** Most hosts on one page. */
const PAGE = 1_000

/**
 * The hosts, as the server knows them.
 * @throws {MusterError} invalid_request; {Refused} when the server refuses the expression
 */
export async function listHosts(client: Client, targets: string): Promise<Host[]> {
  const hosts: Host[] = []
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page = await client.call('list_hosts', checkedInput('list_hosts', { targets, limit: PAGE, cursor }))
    hosts.push(...page.hosts)
    cursor = page.next_cursor
  }
  return hosts
}
