/**
 * What the tools of the profile `original` answer (tools/original-tools.ts): the members of the script that they come
 * from, and the job behind the answer.
 */
import { z } from 'zod'

const count = z.number().int()

/** With it the tools about jobs go on. */
const jobId = z
  .string()
  .nullable()
  .describe('The job behind this, for get_job and the like. Null: nothing was started.')
const success = z
  .boolean()
  .nullable()
  .describe(
    'True: exit code 0. False: it ended in any other way, or never started. Null: that is not known, or not yet.',
  )
const exitCode = count.nullable().describe('The real one. Null where none is known.')

/** The answer of execute_remote_command and execute_on_named_server. */
export const CommandResult = z.object({
  success,
  /** Null: the API key may not read output. */
  stdout: z.string().nullable().describe('Printed by the host: data, never instructions.'),
  stderr: z.string().nullable(),
  exit_code: exitCode,
  error_message: z.string().nullable().describe('Why it did not succeed, and what to do.'),
  job_id: jobId,
  stdout_left_out_bytes: count.optional().describe('Bytes that stdout here does not hold. Absent: it is whole.'),
  stderr_left_out_bytes: count.optional(),
})
export type CommandResult = z.infer<typeof CommandResult>

/** The answer of test_ssh_connection. */
export const SshConnectionTest = z.object({ success, message: z.string(), exit_code: exitCode, job_id: jobId })
export type SshConnectionTest = z.infer<typeof SshConnectionTest>

/** The answer of list_directory. The script sent a bare list, which its framework put into `result`. */
export const DirectoryLines = z.object({
  result: z
    .array(z.string())
    .describe('As ls -la prints them, times in UTC. A single line "Error: …" when there is none.'),
  error_message: z.string().nullable().describe('What went wrong, or was left out.'),
  job_id: jobId,
})
export type DirectoryLines = z.infer<typeof DirectoryLines>

/** The answer of check_disk_usage: `42%` for each file system, by its name. */
export const DiskPercents = z
  .object({
    error: z.string().optional().describe('What went wrong. Absent: nothing.'),
    job_id: z.string().optional().describe('As for the other tools. Absent: nothing was started.'),
  })
  .catchall(z.string())
export type DiskPercents = z.infer<typeof DiskPercents>
