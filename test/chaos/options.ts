/** What `npm run chaos` can be asked for. Reads no environment, starts nothing. */
import { parseArgs } from 'node:util'
import { z } from 'zod'

/** The guards that can be taken out of a copy of the build, to see that the checker notices. */
export const BREAKS = ['claim', 'epoch', 'flush', 'kill', 'hello'] as const
export type Break = (typeof BREAKS)[number]

const Count = (most: number) => z.coerce.number().int().min(1).max(most)

const Options = z.object({
  /** Runs of all jobs together. */
  commands: Count(1_000_000).default(1_000),
  /** At most as many as the test sshd has addresses for. */
  hosts: Count(1_000).default(100),
  faults: z.coerce.number().int().min(0).max(100_000).default(12),
  seed: z.coerce.number().int().min(0).max(0xffff_ffff).default(1),
  break: z.enum(BREAKS).optional(),
  /**
   * `always`: Redis answers after fsync, so nothing that was acknowledged may ever be gone, and every figure is judged.
   * `relaxed`: fsync each second, and a fault cuts off the end of the log, as a power failure does. Then Redis has
   * forgotten what it said, and only the host can refuse a second start: durable commands are judged for duplicates,
   * the rest is only told.
   */
  durability: z.enum(['always', 'relaxed']).default('always'),
  teeth: z.boolean().default(false),
})
export type ChaosOptions = z.infer<typeof Options>

/**
 * Reads the command line.
 * @throws {Error} for an option that is unknown or has no such value
 */
export function parseOptions(args: readonly string[]): ChaosOptions {
  const text = { type: 'string' } as const
  const { values } = parseArgs({
    args: [...args],
    options: {
      commands: text,
      hosts: text,
      faults: text,
      seed: text,
      break: text,
      durability: text,
      teeth: { type: 'boolean' },
    },
  })
  const parsed = Options.safeParse(values)
  if (parsed.success) return parsed.data
  throw new Error(parsed.error.issues.map(({ path, message }) => `--${path.join('.')}: ${message}`).join('\n'))
}
