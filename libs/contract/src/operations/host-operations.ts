/** The rows of the operation table (operations.ts) about hosts: selecting, listing and looking at them. */
import { z } from 'zod'
import { ConnectionTest, DirectoryList, DiskUsage, HostTest } from '../answers/inspection.ts'
import { IdempotencyKey, Submit, WAIT_LIMIT_S } from '../jobs/submit.ts'
import { connectField } from '../targets/connect.ts'
import { connectWithSecretsField } from '../targets/connect-secrets.ts'
import { Host, HostsUnavailable } from '../targets/host.ts'
import { REQUEST_HOST_CHARS } from '../targets/request-host.ts'
import { selectionFields } from '../targets/selection.ts'
import { cursor, limitOf, nextCursor, type Operation } from './operation.ts'

/** Longest path that Linux takes, with its final NUL (limits.h, PATH_MAX). */
const PATH_LIMIT_CHARS = 4_095

/** A path on hosts. It is passed on as one argument, whatever characters it has. */
export const HostPath = z
  .string()
  .min(1)
  .max(PATH_LIMIT_CHARS)
  .refine((path) => !path.includes('\0'), 'must not contain a NUL character')

const wait = z.number().min(0).max(WAIT_LIMIT_S).default(20)

/** What every look at hosts takes. */
const inspecting = {
  targets: Submit.shape.targets,
  connect: connectWithSecretsField,
  wait_s: wait,
  idempotency_key: IdempotencyKey.optional(),
}

/** The rows, by operation name. */
export const HOST_OPERATIONS = {
  resolve_targets: {
    scope: 'hosts:read',
    input: z.object({ ...selectionFields, connect: connectField, hosts_limit: limitOf(10_000, 1_000) }),
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
    rest: {
      method: 'POST',
      path: '/v1/targets/resolve',
      summary:
        'Show which hosts a target expression selects, and on which of them a job would not start. Runs nothing.',
      status: 200,
    },
  },
  list_hosts: {
    scope: 'hosts:read',
    input: z.object({
      targets: Submit.shape.targets.default('@*').describe('A target expression.'),
      limit: limitOf(1_000, 100),
      cursor,
    }),
    output: z
      .object({ hosts: z.array(Host), total: z.number().int(), next_cursor: nextCursor })
      .meta({ id: 'HostList' }),
    rest: { method: 'GET', path: '/v1/hosts', summary: 'List the hosts of the inventory.', status: 200 },
  },
  test_host: {
    scope: 'hosts:inspect',
    input: z.object({
      host: z.string().min(1).max(REQUEST_HOST_CHARS).describe('A host of the inventory, or user@host:port.'),
      connect: connectWithSecretsField,
      wait_s: wait.describe('Longest wait.'),
    }),
    output: HostTest,
    rest: {
      method: 'POST',
      path: '/v1/hosts/:host/test',
      summary: 'Test whether a host can be reached and logged in to; runs "true" there.',
      status: 200,
    },
  },
  test_connection: {
    scope: 'hosts:inspect',
    input: z.object(inspecting),
    output: ConnectionTest,
  },
  list_directory: {
    scope: 'hosts:inspect',
    input: z.object({
      ...inspecting,
      path: HostPath.default('.').describe('Relative to the home directory; "~" works'),
      limit: z.number().int().min(1).max(1_000).default(100).describe('Entries of a group'),
      after: z.string().max(1_400).optional().describe('next_after of the page before'),
    }),
    output: DirectoryList,
  },
  check_disk_usage: {
    scope: 'hosts:inspect',
    input: z.object({
      ...inspecting,
      /** Without it, file systems that only live in memory or in images are left out. */
      path: HostPath.optional().describe('Only the file system that holds it'),
      min_used_percent: z.number().min(0).max(100).default(0),
      limit: z.number().int().min(1).max(500).default(12).describe('Most rows'),
    }),
    output: DiskUsage,
  },
} as const satisfies Record<string, Operation>
