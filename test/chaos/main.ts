/**
 * `npm run chaos`: thousands of commands, while everything that can fail does, and then the question whether Muster
 * told the truth. Prints one JSON line; what happens on the way goes to stderr.
 *
 *   npm run chaos -- --commands N --hosts H --faults F --seed S [--durability relaxed]
 *   npm run chaos -- --break claim|epoch|flush|kill|hello    one guard is taken out: must end with status 1
 *   npm run chaos -- --teeth                           all five, one after the other
 *
 * Exit status: 0 when all figures are 0 (with --teeth: when every broken build was caught), else 1; 2 for a mistake in
 * the options.
 */
import { resolve } from 'node:path'
import { untilSignal } from '@muster/runtime'
import { takeOwnEnvironment } from '../support/runner/own-environment.ts'
import { BREAKAGES } from './broken-build.ts'
import { BREAKS, type ChaosOptions, parseOptions } from './options.ts'
import { type ChaosRun, isClean, runChaos } from './run-chaos.ts'
import { runBroken } from './teeth.ts'

takeOwnEnvironment()

/** Enough for every guard to be missed, and no more; a seed of which not all is cancelled before it matters. */
const TEETH = { commands: 250, hosts: 50, faults: 3, seed: 3 } as const

const startedMs = performance.now()
const say = (line: string) =>
  process.stderr.write(`${((performance.now() - startedMs) / 1_000).toFixed(1).padStart(6)} ${line}\n`)
const print = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`)

async function main(options: ChaosOptions, signal: AbortSignal): Promise<0 | 1> {
  const run: ChaosRun = { ...options, root: resolve('.'), env: process.env, say, signal }
  if (options.teeth) return await runTeeth(run)
  const result = options.break === undefined ? await runChaos(run) : await runBroken(options.break, run)
  print(result)
  return isClean(result) ? 0 : 1
}

async function runTeeth(run: ChaosRun): Promise<0 | 1> {
  let caught = 0
  for (const guard of BREAKS) {
    const result = await runBroken(guard, { ...run, ...TEETH })
    // For the right reason: another figure may only be an echo.
    const isCaught = result[BREAKAGES[guard].figure] > 0
    if (isCaught) caught += 1
    print({ break: guard, caught: isCaught, ...result })
  }
  process.stdout.write(`${caught}/${BREAKS.length} caught\n`)
  return caught === BREAKS.length ? 0 : 1
}

let options: ChaosOptions | undefined
try {
  options = parseOptions(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(2)
}
const interrupted = new AbortController()
const onSecond = (_signal: string, status: number) => process.exit(status)
untilSignal({ onSecond, abort: new AbortController().signal }).then(
  (name) => interrupted.abort(new Error(`${name} was received`)),
  () => {},
)
process.exit(await main(options, interrupted.signal))
