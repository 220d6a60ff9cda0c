/** The rows of the operation table (operations.ts) about hosts: which there are, what selects them, can they be reached. */
import { z } from 'zod'
import { Host, HostsUnavailable, HostTest } from './host.ts'
import { Submit, WAIT_LIMIT_S } from './job.ts'
import { cursor, limitOf, nextCursor, type Operation, reads } from './operation.ts'
import { selectionFields } from './selection.ts'

/** The rows, by operation name. */
export const HOST_OPERATIONS = {
  resolve_targets: {
    summary: 'Show which hosts a target expression selects, and on which of them a job would not start. Runs nothing.',
    input: z.object({ ...selectionFields, hosts_limit: limitOf(10_000, 1_000) }),
    output: z
      .object({
        count: z.number().int(),
        folded: z.string().describe('The names, such as "web[1-40,42]".'),
        hosts: z.array(z.string()).describe('The names in order, at most hosts_limit.'),
        hosts_omitted: z.number().int().describe('How many names are not in hosts.'),
        labels: z
          .record(z.string(), z.record(z.string(), z.number().int()))
          .describe('How many of the hosts have which value of which label; the most frequent 50 values of each.'),
        unavailable: z.array(HostsUnavailable),
        seed: z.number().int().nullable().describe('The seed that was used; null when nothing was drawn.'),
      })
      .meta({ id: 'ResolvedTargets' }),
    rest: { method: 'POST', path: '/v1/targets/resolve', status: 200 },
    tool: { name: 'preview_targets', ...reads },
  },
  list_hosts: {
    summary: 'List the hosts of the inventory.',
    input: z.object({
      targets: Submit.shape.targets.default('@*').describe('A target expression.'),
      limit: limitOf(1_000, 100),
      cursor,
    }),
    output: z
      .object({ hosts: z.array(Host), total: z.number().int(), next_cursor: nextCursor })
      .meta({ id: 'HostList' }),
    rest: { method: 'GET', path: '/v1/hosts', status: 200 },
    tool: { name: 'list_hosts', ...reads },
  },
  test_host: {
    summary: 'Test whether a host can be reached and logged in to; runs "true" there.',
    input: z.object({
      host: z.string().min(1).max(253).describe('A host of the inventory.'),
      wait_s: z.number().min(0).max(WAIT_LIMIT_S).default(20).describe('Longest wait.'),
    }),
    output: HostTest,
    rest: { method: 'POST', path: '/v1/hosts/:host/test', status: 200 },
    tool: {
      name: 'test_connection',
      readOnlyHint: true,
      destructiveHint: false,
      idempotentHint: true,
      openWorldHint: true,
    },
  },
} as const satisfies Record<string, Operation>
