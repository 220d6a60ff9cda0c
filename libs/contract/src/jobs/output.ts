/** Output as callers read it: a page of one stream, or the output of all hosts of a job in groups. */
import { z } from 'zod'
import { JobId, JobState } from './job.ts'
import { readBy } from './readers.ts'
import { Reason, RunState } from './run.ts'

/** The two streams of a command. */
export const OutputStream = z.enum(['stdout', 'stderr']).meta({ id: 'OutputStream' })
export type OutputStream = z.infer<typeof OutputStream>

/** Largest page of output, in bytes. */
export const PAGE_LIMIT_BYTES = 256 * 1024

/** A page of one stream. Offsets count all bytes the command wrote, kept or not. */
export const OutputPage = z
  .object({
    job_id: JobId,
    host: z.string(),
    stream: OutputStream,
    offset: z.number().int().describe('Where data begins; above the one asked for when a gap was skipped.'),
    next_offset: z.number().int().describe('The offset to ask for next.'),
    omitted_bytes: z.number().int().describe('Bytes just before data that were not kept.'),
    total_bytes: z.number().int().describe('Bytes written so far.'),
    started_at: z.iso
      .datetime()
      .nullable()
      .describe('When the command that wrote this was started. Another value: another attempt, from offset 0 again.'),
    encoding: z.enum(['utf8', 'base64']),
    data: readBy('jobs:read:output', z.string()),
    eof: z.boolean().describe('True when the run has ended and next_offset is its end.'),
    unverified: z
      .boolean()
      .describe('True when nobody vouches for the end of the run: these may be the bytes of another one.'),
  })
  .meta({ id: 'OutputPage' })
export type OutputPage = z.infer<typeof OutputPage>

/**
 * What a mask treats as equal, whatever it says. `host`: the host's own name, in full or up to its first dot.
 * `address`: IPv4, IPv6 and MAC. `time`: dates, clock times and seconds since 1970. `pid`: `[123]`, `pid 123` and the
 * like. `number`: any number.
 */
export const OutputMask = z.enum(['host', 'address', 'time', 'pid', 'number']).meta({ id: 'OutputMask' })
export type OutputMask = z.infer<typeof OutputMask>

/** Hosts that ended in the same way with the same output. */
export const OutputGroup = z
  .object({
    hosts: z.string().describe('Folded names, such as "web[01-40,42]".'),
    count: z.number().int(),
    state: RunState,
    reason: Reason.nullable(),
    exit_code: z.number().int().nullable(),
    signal: z.string().nullable(),
    detail: z.string().nullable().describe('In words, where it is the same for all of these hosts; else null.'),
    distinct_outputs: z
      .number()
      .int()
      .describe(
        'How many outputs these hosts have that are not equal byte for byte. Above 1 only with masks: they differ in ' +
          'what was masked, and stdout and stderr below are those of the first host, as it printed them.',
      ),
    stdout: z.string().describe('As text; at most the number of bytes asked for.'),
    stderr: z.string(),
    stdout_bytes: z.number().int(),
    stderr_bytes: z.number().int(),
    truncated: z.boolean().describe('True when stdout or stderr above is not all of it.'),
    output_complete: z.boolean().describe('False when the command may have printed more than is known.'),
    is_reference: z
      .boolean()
      .describe(
        'True for the group that a diff compares with: lowest exit code, then most hosts, then the first host.',
      ),
    diff: z
      .string()
      .nullable()
      .describe(
        'From the reference to this group, as a unified diff of stdout, then stderr, after masking; "" when they ' +
          'are equal. A line that begins with "\\" says what was not compared. Null for the reference itself, for a ' +
          'command that has not ended, and when not asked for.',
      ),
  })
  .meta({ id: 'OutputGroup' })
export type OutputGroup = z.infer<typeof OutputGroup>

/** Hosts in the same state for the same reason and cause, without output. */
export const HostsByState = z
  .object({
    state: RunState,
    reason: Reason.nullable(),
    exit_code: z.number().int().nullable(),
    detail: readBy(
      'jobs:read:output',
      z
        .string()
        .nullable()
        .describe('The cause in words; when it differs from host to host, that of one host, which is named.'),
    ),
    hosts: z.string().describe('Folded names.'),
    count: z.number().int(),
  })
  .meta({ id: 'HostsByState' })
export type HostsByState = z.infer<typeof HostsByState>

/** Hosts with the same notice, which says something besides how they ended. */
export const HostsNoticed = z
  .object({ notice: z.string(), hosts: z.string().describe('Folded names.'), count: z.number().int() })
  .meta({ id: 'HostsNoticed' })
export type HostsNoticed = z.infer<typeof HostsNoticed>

/** The output of a whole job in groups. Every host is in exactly one of groups, without_output and omitted. */
export const GatheredOutput = z
  .object({
    job_id: JobId,
    state: JobState,
    total: z.number().int(),
    groups: z
      .array(OutputGroup)
      .describe('Hosts whose command ended, largest group first; then those whose command goes on and has printed.'),
    without_output: z.array(HostsByState).describe('All other hosts, by state and reason.'),
    omitted_groups: z.number().int().describe('Groups left out because there were too many.'),
    omitted_hosts: z.number().int().describe('Hosts in those groups.'),
    omitted: z.array(HostsByState).describe('Those hosts, by state and reason.'),
    uncompared_hosts: z
      .number()
      .int()
      .describe(
        'With masks: hosts grouped only by equal output, because theirs is too long, too much in all, or not fully ' +
          'known.',
      ),
  })
  .meta({ id: 'GatheredOutput' })
export type GatheredOutput = z.infer<typeof GatheredOutput>
