/**
 * The last line of a test run, for people and scripts alike: `12 passed, 0 failed`, with `, 1 skipped` when there are any.
 *
 * It adds nothing else; the default reporter tells the story.
 */
import type { Reporter, TestModule } from 'vitest/node'

/** Prints the line when everything has ended. A file that cannot be loaded, or an error outside any test, counts as one failed. */
export class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const states = modules.flatMap((module) => [...module.children.allTests()].map((test) => test.result().state))
    const count = (wanted: string): number => states.filter((state) => state === wanted).length
    const brokenModules = modules.filter((module) => module.errors().length > 0).length
    const brokenSuites = modules
      .flatMap((module) => [...module.children.allSuites()])
      .filter((suite) => suite.errors().length > 0)
    const failed = count('failed') + brokenModules + brokenSuites.length + unhandledErrors.length
    const skipped = count('skipped') + count('pending')
    process.stdout.write(`${count('passed')} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`)
  }
}
