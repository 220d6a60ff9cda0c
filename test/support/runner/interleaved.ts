/** The order of test files: those that wait run beside those that compute, the longest first. */
import { relative } from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'
import { COMPUTING, WAITING } from './waiting-files.ts'

/** Puts files that wait and files that compute in turns, so that neither kind is left for the end. */
export class InterleavedSequencer extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const byPath = files.toSorted((a, b) => (a.moduleId < b.moduleId ? -1 : 1))
    const [waiting, others] = [byPath.filter(isWaiting), byPath.filter((file) => !isWaiting(file))]
    return interleave(longestFirst(waiting), longestFirst(others))
  }
}

function isWaiting({ moduleId }: TestSpecification): boolean {
  return relative('.', moduleId) in WAITING
}

function longestFirst(files: readonly TestSpecification[]): TestSpecification[] {
  return files.toSorted((a, b) => secondsOf(b) - secondsOf(a))
}

function secondsOf({ moduleId }: TestSpecification): number {
  const path = relative('.', moduleId)
  return WAITING[path] ?? COMPUTING[path] ?? 0
}

/** The two lists in one, each spread evenly over it. */
function interleave<T>(first: readonly T[], second: readonly T[]): T[] {
  const ranked = [first, second].flatMap((list) => list.map((item, index) => ({ item, rank: index / list.length })))
  return ranked.toSorted((a, b) => a.rank - b.rank).map(({ item }) => item)
}
