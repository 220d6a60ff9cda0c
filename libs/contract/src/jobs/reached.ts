/** What a run reached: where its connection went, which key the host showed, and who logged in with what. */
import { z } from 'zod'

/** A SHA-256 fingerprint of a key, as `ssh-keygen -l` prints it. */
const Fingerprint = z.string().regex(/^SHA256:[A-Za-z0-9+/]{43}$/)

/** Something that a host accepted at the log-in; never its value. */
const UsedCredential = z.object({
  kind: z
    .enum(['key', 'agent', 'certificate', 'password'])
    .describe('A key of a file, a key that an SSH agent holds, a key with a certificate of OpenSSH, or a password.'),
  fingerprint: Fingerprint.nullable().describe('Of the public key; null for a password.'),
  certificate: z
    .object({
      key_id: z.string().describe('As the log of the host has it; of one made for the run: JOB/INDEX.'),
      serial: z.string().regex(/^\d{1,20}$/),
      authority: Fingerprint.describe('Of the key that signed it.'),
    })
    .optional()
    .describe('Absent unless the kind is certificate.'),
})
export type UsedCredential = z.infer<typeof UsedCredential>

/** What the worker saw of a host on the connection of a run. Where the connection failed: as far as it got. */
export const Reached = z
  .object({
    address: z
      .string()
      .nullable()
      .describe('The IP address at the other end; null behind a jump host that looked the name up itself.'),
    port: z.number().int(),
    jump: z.string().nullable().describe('The jump host that the connection went through; null without one.'),
    host_key: Fingerprint.nullable().describe('The key that the host showed; null where it showed none.'),
    user: z.string().describe('Who logged in, or tried to.'),
    credentials: z
      .array(UsedCredential)
      .describe('What the host accepted, in order. Empty: nothing yet, or it asks for nothing.'),
  })
  .meta({ id: 'Reached' })
export type Reached = z.infer<typeof Reached>
