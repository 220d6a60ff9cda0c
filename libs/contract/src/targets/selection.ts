/** Selects and orders the hosts of a job. The result is frozen when the job is accepted. */
import { z } from 'zod'

const Expression = z.string().min(1).max(10_000)

/** A target expression as text; `target-expression.ts` parses it. */
const Targets = Expression.describe(
  'Which hosts: names, ranges such as "web[01-12]", "web*", @groups, labels such as "{env=prod}", "@*" for all, ' +
    'or "user@host:port"; joined by "," (and), "!" (but not), "&" (in both), "^" (in one), read from left to right; ' +
    'parentheses group.',
)

/** The fields that select and order hosts, applied in this order. */
export const selectionFields = {
  targets: Targets,
  exclude: Expression.optional().describe('A target expression: these hosts are taken out, whatever selects them.'),
  pick: z
    .number()
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe('This many of the selected hosts, drawn at random with seed.'),
  order: z
    .string()
    .regex(/^(given|name|shuffle|label:[A-Za-z0-9][A-Za-z0-9._/-]*)$/, 'one of given, name, shuffle, label:KEY')
    .default('given')
    .describe('The order of the hosts: given, name (numbers by value), shuffle (with seed), label:KEY (by its value).'),
  limit: z.number().int().min(1).max(1_000_000).optional().describe('Only this many, the first in that order.'),
  seed: z
    .number()
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .optional()
    .describe(
      'For pick and shuffle: the same seed and hosts, the same result. One is drawn and reported when not given.',
    ),
}

/** How the hosts of a job were selected, besides the target expression. */
export const Selection = z
  .object({
    exclude: z.string().nullable(),
    pick: z.number().int().nullable(),
    order: z.string(),
    limit: z.number().int().nullable(),
    seed: z.number().int().nullable().describe('The seed that was used; null when nothing was drawn.'),
  })
  .meta({ id: 'Selection' })
export type Selection = z.infer<typeof Selection>
