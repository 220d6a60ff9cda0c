/**
 * Runs the Lua scripts of `../../lua`, each one atomic step. A caller names what it gives a script; script-table.ts
 * knows the order.
 *
 * Does not say what a script means; the module that runs it does.
 */
import type { Keys } from './keys.ts'
import type { Ledger } from './open-ledger.ts'
import { SCRIPTS, type ScriptName } from './script-table.ts'

type Value = string | number | Buffer
type Row<Name extends ScriptName> = (typeof SCRIPTS)[Name]
type Named<Name extends ScriptName> = Row<Name>['keys'][number] | Row<Name>['args'][number]
type Given<Name extends ScriptName> = Readonly<Record<Named<Name>, Value>> &
  (Row<Name>['isOfJob'] extends true ? { readonly jobId: string } : unknown)

/** Runs a script and returns its answer. `rest` follows its named arguments. Rejects with errors of ioredis. */
export async function runScript<Name extends ScriptName>(
  { redis, keys }: Pick<Ledger, 'redis' | 'keys'>,
  name: Name,
  given: Given<Name>,
  rest: readonly Value[] = [],
): Promise<unknown> {
  const { sha, text, count, values } = callOf(keys, name, given, rest)
  return await orByText(
    () => redis.evalsha(sha, count, ...values),
    () => redis.eval(text, count, ...values),
  )
}

/** Runs a script that answers with bytes: each text in the answer is a buffer. Rejects with errors of ioredis. */
export async function runScriptForBytes<Name extends ScriptName>(
  { redis, keys }: Pick<Ledger, 'redis' | 'keys'>,
  name: Name,
  given: Given<Name>,
): Promise<unknown> {
  const { sha, text, count, values } = callOf(keys, name, given, [])
  return await orByText(
    () => redis.callBuffer('EVALSHA', sha, count, ...values),
    () => redis.callBuffer('EVAL', text, count, ...values),
  )
}

/** A script with its keys and arguments in order, and how many of them are keys. */
function callOf(keys: Keys, name: ScriptName, given: Readonly<Record<string, Value>>, rest: readonly Value[]) {
  const { sha, text, isOfJob, keys: keyNames, args } = SCRIPTS[name]
  const jobId = isOfJob ? String(given.jobId) : ''
  // One array, and no others on the way: this runs several times for each run.
  const values: Value[] = isOfJob ? [keys.job(jobId)] : []
  for (const each of keyNames) values.push(given[each] ?? '')
  const count = values.length
  values.push(keys.base, jobId)
  for (const each of args) values.push(given[each] ?? '')
  values.push(...rest)
  return { sha, text, count, values }
}

/** Sends the text of a script only when Redis does not have it, as after a restart. */
async function orByText(bySha: () => Promise<unknown>, byText: () => Promise<unknown>): Promise<unknown> {
  try {
    return await bySha()
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
    return await byText()
  }
}
