/** The MCP tools about hosts: which there are, whether they can be reached, what is on their disks. */
import { HostListAnswer, TargetsAnswer } from '../answers/tool-answers.ts'
import { INSPECTS, READS, type Tool } from './tool.ts'

/** When a call ends too early, the same call with the key from its answer waits for the same job. */
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
    hints: INSPECTS,
  },
  list_directory: {
    operation: 'list_directory',
    description:
      'List a directory on hosts, or describe the file at the path. Hosts with the same content are one group.',
    fields: {
      ...inspecting,
      path: true,
      limit: true,
      after: true,
    },
    hints: INSPECTS,
  },
  check_disk_usage: {
    operation: 'check_disk_usage',
    description:
      'How full file systems are, the fullest first. A row holds all hosts where one is as full, with the numbers of ' +
      'the fullest host.',
    fields: { ...inspecting, path: true, min_used_percent: '', limit: true },
    hints: INSPECTS,
  },
} as const satisfies Record<string, Tool>
