/** The MCP tools about hosts: which there are, can they be reached, what is on their disks. */

import { HostListAnswer, TargetsAnswer } from '../answers/tool-answers.ts'
import { HOST_OPERATIONS } from '../operations/host-operations.ts'
import { INSPECTS, READS, type Tool } from './tool.ts'

/** A call that ended too early is made again with the key of its answer: that waits for the same job. */
const inspecting = { targets: '', wait_s: '', idempotency_key: '' }

/** The tools, by name. */
export const HOST_TOOLS = {
  list_hosts: {
    operation: 'list_hosts',
    description: 'List the hosts of the inventory.',
    fields: { targets: '', limit: '', cursor: '' },
    output: HostListAnswer,
    hints: READS,
  },
  preview_targets: {
    operation: 'resolve_targets',
    description:
      'Show which hosts a target expression selects, and on which of them a job would not start. Runs nothing.',
    fields: { targets: '', exclude: '', pick: '', order: '', limit: '', seed: '', hosts_limit: '' },
    output: TargetsAnswer,
    hints: READS,
  },
  test_connection: {
    operation: 'test_connection',
    description: 'Test whether hosts can be reached and logged in to; runs "true" there. ok null: not known yet.',
    fields: { ...inspecting },
    output: HOST_OPERATIONS.test_connection.output,
    hints: INSPECTS,
  },
  list_directory: {
    operation: 'list_directory',
    description: 'List a directory on hosts, or describe the file at the path. Hosts with the same are one group.',
    fields: {
      ...inspecting,
      path: 'Relative to the home directory; "~" works',
      limit: 'Entries of a group',
      after: 'next_after of the page before',
    },
    output: HOST_OPERATIONS.list_directory.output,
    hints: INSPECTS,
  },
  check_disk_usage: {
    operation: 'check_disk_usage',
    description:
      'How full file systems are, the fullest first. A row holds all hosts where one is as full, with the numbers of ' +
      'the fullest host.',
    fields: { ...inspecting, path: 'Only the file system that holds it', min_used_percent: '', limit: 'Most rows' },
    output: HOST_OPERATIONS.check_disk_usage.output,
    hints: INSPECTS,
  },
} as const satisfies Record<string, Tool>
