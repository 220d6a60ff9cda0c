/**
 * The last line of a test run, for people and scripts alike: `12 passed, 0 failed`, with `, 1 skipped` when there are
 * any.
 *
 * Before it stand the tests that passed on a second try only. With MUSTER_TEST_ALL=1 a skipped test is a failed one,
 * and is named: that is for a machine which has every program that a test may need.
 */
import type { Plugin } from 'vitest/config'
import type { Reporter, TestModule } from 'vitest/node'

/** Adds the line to every run, also to one with `--reporter`. */
export function summaryPlugin(): Plugin {
  return {
    name: 'muster:summary',
    configureVitest({ vitest, project }) {
      // Vitest calls this for every project.
      if (project === vitest.projects[0]) vitest.config.reporters.push(new SummaryReporter())
    },
  }
}

/**
 * Prints the line when everything has ended. A file that cannot be loaded, or an error outside any test, counts as one
 * failed.
 */
class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()])
    const states = tests.map((test) => test.result().state)
    const count = (wanted: string): number => states.filter((state) => state === wanted).length
    const brokenModules = modules.filter((module) => module.errors().length > 0).length
    const brokenSuites = modules
      .flatMap((module) => [...module.children.allSuites()])
      .filter((suite) => suite.errors().length > 0)
    const failed = count('failed') + brokenModules + brokenSuites.length + unhandledErrors.length
    for (const test of tests.filter((one) => one.diagnostic()?.flaky)) {
      process.stdout.write(`passed on a second try: ${test.module.relativeModuleId}: ${test.fullName}\n`)
    }
    const skipped = tests.filter((test) => ['skipped', 'pending'].includes(test.result().state))
    const mayNotSkip = process.env.MUSTER_TEST_ALL === '1' && skipped.length > 0
    if (mayNotSkip) {
      for (const test of skipped) process.stdout.write(`skipped, and nothing may be: ${test.fullName}\n`)
      process.exitCode = 1
    }
    const words = [
      `${count('passed')} passed`,
      `${failed + (mayNotSkip ? skipped.length : 0)} failed`,
      ...(skipped.length > 0 && !mayNotSkip ? [`${skipped.length} skipped`] : []),
    ]
    process.stdout.write(`${words.join(', ')}\n`)
  }
}
