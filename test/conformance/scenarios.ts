/**
 * Runs scenarios of the official suite and reads what they found from the files that it writes: its exit status is 0
 * for a scenario that it skipped.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import type { Official } from './official.ts'

/** A revision of the protocol that the suite has requirements for. */
export type Revision = '2025-11-25' | '2026-07-28'

const Checks = z.array(
  z.object({
    id: z.string(),
    status: z.enum(['SUCCESS', 'FAILURE', 'WARNING', 'SKIPPED', 'INFO']),
    description: z.string(),
    errorMessage: z.string().optional(),
  }),
)

/** One thing that a scenario looked at. */
export type Check = z.infer<typeof Checks>[number]

/** What a scenario found on a server. */
export type ScenarioRun = {
  /** Which server. */
  readonly on: 'fixture' | 'product'
  /** Absent for scenarios of an extension, which belong to no revision. */
  readonly revision?: Revision
  readonly scenario: string
  /** None when the suite skipped the scenario. */
  readonly checks: readonly Check[]
}

/** Where to run, and as what to report it. */
export type Subject = { readonly on: ScenarioRun['on']; readonly url: string; readonly revision?: Revision }

const Requirements = z.object({ server: z.array(z.string()).min(1) })

/** Runs all that the revision requires of a server. What the suite runs beside them is not looked at. */
export async function runRequired(
  official: Official,
  subject: Subject & { revision: Revision },
): Promise<ScenarioRun[]> {
  const file = join(official.suiteDirectory, 'requirements', `${subject.revision}.yaml`)
  const required = Requirements.parse(parse(await readFile(file, 'utf8'))).server
  const directory = join(official.scratch, `${subject.on}-${subject.revision}`)
  await run(official, subject, ['--requirements', subject.revision], directory)
  const { on, revision } = subject
  return await Promise.all(
    required.map(async (scenario) => ({ on, revision, scenario, checks: await readChecks(directory, scenario) })),
  )
}

/** Runs one scenario: at the revision, when there is one. */
export async function runScenario(official: Official, subject: Subject, scenario: string): Promise<ScenarioRun> {
  const { on, revision } = subject
  const directory = join(official.scratch, [on, revision, scenario].join('-'))
  const version = revision === undefined ? [] : ['--spec-version', revision]
  await run(official, subject, ['--scenario', scenario, ...version], directory)
  return {
    on,
    scenario,
    checks: await readChecks(directory, scenario),
    ...(revision === undefined ? {} : { revision }),
  }
}

async function run(official: Official, { url }: Subject, args: readonly string[], directory: string): Promise<void> {
  const { status, err } = await official.run('conformance', ['server', '--url', url, ...args, '-o', directory])
  // 1: some check failed, which the files tell.
  if (status > 1) throw new Error(`the conformance suite ended with status ${status}: ${err.slice(-2_000)}`)
}

/** The folder of a scenario's result is named by the scenario and the time. */
async function readChecks(directory: string, scenario: string): Promise<Check[]> {
  const named = new RegExp(`^server-${scenario}-\\d{4}-\\d\\d-\\d\\dT[\\d-]+Z$`)
  const folders = await readdir(directory).catch(() => []) // Skipped: nothing was written.
  const [folder] = folders.filter((name) => named.test(name))
  if (folder === undefined) return []
  return Checks.parse(JSON.parse(await readFile(join(directory, folder, 'checks.json'), 'utf8')))
}
