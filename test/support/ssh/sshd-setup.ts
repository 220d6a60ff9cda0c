/** One real sshd for the whole test run. Tests find out about it by `inject('sshd')`. */
import type { TestProject } from 'vitest/node'
import { type Sshd, type SshdFacts, startSshd } from './sshd.ts'

declare module 'vitest' {
  interface ProvidedContext {
    sshd: SshdFacts
  }
}

let sshd: Sshd | undefined

/** Runs before all test files. */
export async function setup(project: TestProject): Promise<void> {
  sshd = await startSshd()
  project.provide('sshd', sshd.facts)
}

/** Runs after all test files. */
export async function teardown(): Promise<void> {
  await sshd?.close()
}
