/** Hosts as callers see them: what the inventory says, without any credential. */
import { z } from 'zod'

/** An option of an SSH config that applies to a host and that Muster does not follow. */
const NotTaken = z
  .object({
    option: z.string().describe('Its name, as the file spells it.'),
    file: z.string(),
    line: z.number().int(),
    why: z.string(),
  })
  .meta({ id: 'NotTaken' })

/** A host of the inventory. */
export const Host = z
  .object({
    name: z.string(),
    aliases: z.array(z.string()).describe('Other names of the host; each stands for it wherever a host is named.'),
    address: z.string(),
    port: z.number().int(),
    user: z.string(),
    jump: z
      .string()
      .nullable()
      .describe('Name of the jump host, or several in order, as ProxyJump writes them; null without one.'),
    host_key_alias: z.string().nullable().describe('What known_hosts list it under; null: its address and port.'),
    known_hosts_files: z
      .array(z.string())
      .describe("Files of the SSH config that are read on workers in place of the user's known_hosts."),
    groups: z.array(z.string()),
    labels: z.record(z.string(), z.string()),
    disabled: z.string().nullable().describe('Why no job runs there, as the inventory says; null: jobs do.'),
    not_taken: z
      .array(NotTaken)
      .describe('Options of the SSH config for this host that are not followed, by their places; never their values.'),
  })
  .meta({ id: 'Host' })
export type Host = z.infer<typeof Host>

/** Hosts on which a job would not start now, with the reason it would give. */
export const HostsUnavailable = z
  .object({
    reason: z.enum(['host_disabled', 'breaker_open', 'policy_denied']),
    detail: z
      .string()
      .describe(
        'In words: what the inventory says, until when the breaker is open, or why the request may not name it.',
      ),
    hosts: z.string().describe('Folded names.'),
    count: z.number().int(),
  })
  .meta({ id: 'HostsUnavailable' })
export type HostsUnavailable = z.infer<typeof HostsUnavailable>
