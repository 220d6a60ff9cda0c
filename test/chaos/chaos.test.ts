/**
 * Chaos as part of the tests: a thousand commands on a hundred hosts while everything that can fail does. And the
 * broken copies of the build, by which `npm run chaos -- --teeth` shows that the checker notices.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { BREAKAGES, breakBuild } from './broken-build.ts'
import { FIGURES } from './check/checker.ts'
import { FAULT_TARGETS } from './fault-plan.ts'
import { BREAKS } from './options.ts'
import { runChaos } from './run-chaos.ts'

const FOUR_MINUTES_MS = 240_000

describe('a thousand commands on a hundred hosts, and a fault of every kind', () => {
  test('none starts twice, hangs, or is told of falsely', { timeout: FOUR_MINUTES_MS }, async () => {
    const lines: string[] = []
    const plan = { commands: 1_000, hosts: 100, faults: Object.keys(FAULT_TARGETS).length, seed: 20 }
    const result = await runChaos({
      ...plan,
      durability: 'always',
      root: resolve('.'),
      env: process.env,
      say: (line) => lines.push(line),
    })
    for (const figure of FIGURES) expect(result[figure], `${figure}\n${lines.join('\n')}`).toBe(0)
    expect(Object.keys(result.faults).toSorted()).toEqual(Object.keys(FAULT_TARGETS).toSorted())
    expect(plan.faults).toBeGreaterThanOrEqual(12)
  })
})

describe('a broken build', () => {
  test.each(BREAKS)('without the guard "%s" is a copy in which only that is changed', async (guard) => {
    const into = await emptyDirectory()
    const { edits } = BREAKAGES[guard]
    await breakBuild(resolve('.'), into, { edits })
    for (const { file, find, replace } of edits) {
      const [built, broken] = [await readFile(file, 'utf8'), await readFile(join(into, file), 'utf8')]
      expect(built).toContain(find)
      expect(broken).not.toBe(built)
      expect(broken).toContain(replace)
    }
    expect(await readdir(join(into, 'libs'))).toEqual(await readdir('libs'))
  })

  test('is not made when the source has moved on', async () => {
    const edits = [{ file: 'libs/ledger/lua/steps/claim.lua', find: 'not in there', replace: '' }]
    await expect(breakBuild(resolve('.'), await emptyDirectory(), { edits })).rejects.toThrow('exactly once')
  })
})

async function emptyDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'muster-broken-test-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return directory
}
