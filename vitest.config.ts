import { defineConfig } from 'vitest/config'
import { SummaryReporter } from './test/support/summary-reporter.ts'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Both start lazily: one redis-server and one sshd for the whole run, on free loopback ports.
    globalSetup: ['test/support/redis-setup.ts', 'test/support/sshd-setup.ts'],
    reporters: ['default', new SummaryReporter()],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: 'forks',
  },
})
