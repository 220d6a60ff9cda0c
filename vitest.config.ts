import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Both start lazily: one redis-server and one sshd for the whole run, on free loopback ports.
    globalSetup: ['test/support/redis-setup.ts', 'test/support/sshd-setup.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: 'forks',
  },
})
