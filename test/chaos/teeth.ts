/** Takes one guard at a time out of a copy of the build, and lets chaos loose on it: the checker has to notice. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BREAKAGES, breakBuild } from './broken-build.ts'
import type { Break } from './options.ts'
import { type ChaosResult, type ChaosRun, runChaos } from './run-chaos.ts'

/** Runs chaos on a build without this guard. Only the faults that the guard is there for are injected. */
export async function runBroken(guard: Break, run: ChaosRun): Promise<ChaosResult> {
  const breakage = BREAKAGES[guard]
  const root = await mkdtemp(join(tmpdir(), 'muster-broken-'))
  try {
    await breakBuild(run.root, root, breakage)
    run.say(`the guard "${guard}" is taken out`)
    return await runChaos({ ...run, root, onlyFaults: breakage.faults })
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}
