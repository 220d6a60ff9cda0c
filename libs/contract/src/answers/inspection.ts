/**
 * What a look at hosts answers: a directory, the disks, whether they can be reached. Hosts with the same answer are one
 * group. Counts come first, then what went wrong, then the answers.
 */
import { z } from 'zod'
import { JobId } from '../jobs/job.ts'
import { Reason, RunState } from '../jobs/run.ts'
import { NextCall } from './next-call.ts'

const count = z.number().int()

/** Hosts that gave no answer, and why, in words. */
export const HostsWithProblem = z.object({
  hosts: z.string(),
  count,
  /** A RunState. */
  state: z.string(),
  exit_code: count.optional(),
  problem: z.string(),
})
export type HostsWithProblem = z.infer<typeof HostsWithProblem>

const head = { job_id: z.string(), hosts: count, answered: count, not_ended: count }
const next = NextCall.optional()

/** An entry of a directory. */
export const DirectoryEntry = z.object({
  name: z.string(),
  /** file, directory, symlink, fifo, socket, block, char or other. */
  type: z.string(),
  // Absent: the host does not tell it.
  size_bytes: count.optional(),
  mode: z.string().optional(),
  owner: z.string().optional(),
  group: z.string().optional(),
  /** Absent also when it differs between the hosts of the group. */
  modified_at: z.string().optional(),
  /** Where a symlink leads. */
  target: z.string().optional(),
})
export type DirectoryEntry = z.infer<typeof DirectoryEntry>

/** Hosts whose directories hold the same entries. */
const DirectoryGroup = z.object({
  hosts: z.string(),
  count,
  is_directory: z.boolean(),
  entries: z.array(DirectoryEntry),
  total_entries: count,
  /** Where the next page begins. Absent on the last page. */
  next_after: z.string().optional(),
})

/** The answer of list_directory. */
export const DirectoryList = z
  .object({
    ...head,
    problems: z.array(HostsWithProblem),
    groups: z.array(DirectoryGroup),
    hosts_left_out: count,
    next,
  })
  .meta({ id: 'DirectoryList' })
export type DirectoryList = z.infer<typeof DirectoryList>

/** A file system, for the hosts where it is equally full. The figures are those of the fullest host. */
export const DiskRow = z.object({
  hosts: z.string(),
  count,
  mount: z.string(),
  filesystem: z.string(),
  size_bytes: count,
  used_bytes: count,
  available_bytes: count,
  used_percent: count,
  inodes_used_percent: count.optional(),
})
export type DiskRow = z.infer<typeof DiskRow>

/** The answer of check_disk_usage. */
export const DiskUsage = z
  .object({
    ...head,
    problems: z.array(HostsWithProblem),
    filesystems: z.array(DiskRow),
    filesystems_left_out: count,
    next,
  })
  .meta({ id: 'DiskUsage' })
export type DiskUsage = z.infer<typeof DiskUsage>

/** The answer of test_connection. */
export const ConnectionTest = z
  .object({
    ...head,
    groups: z.array(
      z.object({
        hosts: z.string(),
        count,
        /** Null: nothing is known yet. */
        ok: z.boolean().nullable(),
        /** A Reason. */
        reason: z.string().optional(),
        detail: z.string().optional(),
        connect_ms_median: count.optional(),
        connect_ms_slowest: count.optional(),
      }),
    ),
    next,
  })
  .meta({ id: 'ConnectionTest' })
export type ConnectionTest = z.infer<typeof ConnectionTest>

/** The answer to "can this host be reached and logged in to?". */
export const HostTest = z
  .object({
    host: z.string(),
    ok: z.boolean().nullable().describe('Null when no worker has answered yet: nothing is known.'),
    state: RunState,
    reason: Reason.nullable(),
    detail: z.string().nullable(),
    exit_code: z.number().int().nullable().describe('Of true; null when it has not ended, or never started.'),
    connect_ms: z.number().int().nullable(),
    job_id: JobId.describe('The job that made the test.'),
  })
  .meta({ id: 'HostTest' })
export type HostTest = z.infer<typeof HostTest>
