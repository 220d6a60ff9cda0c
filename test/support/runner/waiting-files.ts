/**
 * Test files that take long, most of it waiting on leases, clocks and programs, with the seconds that each takes in a
 * whole run on two cores. The seconds only order a run, so a rough figure will do.
 */
export const WAITING: Readonly<Record<string, number>> = {
  'test/e2e/jobs/clock-steps.test.ts': 180,
  'test/e2e/jobs/clock-skew.test.ts': 180,
  'test/integration/ledger/ledger-model.test.ts': 120,
  'test/e2e/jobs/worker-trouble.test.ts': 110,
  'test/e2e/jobs/redis-trouble.test.ts': 100,
  'test/e2e/jobs/scripts.test.ts': 90,
  'test/integration/ssh/durable/ssh-durable-lost.test.ts': 60,
  'test/integration/mcp/mcp-crossing.test.ts': 60,
  'test/e2e/mcp/mcp-stdio-embedded.test.ts': 60,
  'test/e2e/jobs/rollout.test.ts': 60,
  'test/e2e/jobs/redis-full.test.ts': 60,
  'test/e2e/jobs/durable.test.ts': 60,
  'test/e2e/jobs/main-job.test.ts': 50,
  'test/integration/ledger/ledger-clocks.test.ts': 30,
  'test/unit/cli/run-input.test.ts': 20,
  'test/unit/cli/mistakes.test.ts': 20,
  'test/integration/ledger/ledger.test.ts': 15,
  'test/integration/ledger/dial-slots.test.ts': 15,
}
