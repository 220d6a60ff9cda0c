/** The order of test files: those that wait run beside those that compute, the longest first. */
import { relative } from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'
import { WAITING } from './waiting-files.ts'

/** Puts files that wait and files that compute in turns, so that neither kind is left for the end. */
export class InterleavedSequencer extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const byPath = files.toSorted((a, b) => (a.moduleId < b.moduleId ? -1 : 1))
    const waiting = byPath.filter((file) => secondsOf(file) > 0).toSorted((a, b) => secondsOf(b) - secondsOf(a))
    return interleave(
      waiting,
      byPath.filter((file) => secondsOf(file) === 0),
    )
  }
}

function secondsOf({ moduleId }: TestSpecification): number {
  return WAITING[relative('.', moduleId)] ?? 0
}

/** The two lists in one, each spread evenly over it. */
function interleave<T>(first: readonly T[], second: readonly T[]): T[] {
  const ranked = [first, second].flatMap((list) => list.map((item, index) => ({ item, rank: index / list.length })))
  return ranked.toSorted((a, b) => a.rank - b.rank).map(({ item }) => item)
}
