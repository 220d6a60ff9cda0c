/**
 * Test files that take long, most of it waiting on leases, clocks and programs, with the seconds that each takes in a
 * whole run on two cores. The seconds only order a run, so a rough figure will do.
 */
export const WAITING: Readonly<Record<string, number>> = {
  'test/e2e/jobs/clock-steps.test.ts': 180,
  'test/e2e/jobs/clock-skew.test.ts': 165,
  'test/e2e/jobs/scripts.test.ts': 135,
  'test/integration/ledger/ledger-model.test.ts': 120,
  'test/e2e/jobs/worker-trouble.test.ts': 120,
  'test/e2e/jobs/redis-trouble.test.ts': 110,
  'test/e2e/jobs/redis-full.test.ts': 100,
  'test/integration/ssh/durable/ssh-durable-lost.test.ts': 80,
  'test/e2e/mcp/mcp-stdio-embedded.test.ts': 80,
  'test/e2e/jobs/main-job.test.ts': 80,
  'test/integration/ssh/attached/ssh-slow-line.test.ts': 80,
  'test/integration/mcp/mcp-progress.test.ts': 70,
  'test/e2e/mcp/mcp-stdio.test.ts': 70,
  'test/integration/ssh/durable/ssh-durable-forged.test.ts': 65,
  'test/e2e/jobs/durable.test.ts': 65,
  'test/integration/ssh/attached/ssh-deadline.test.ts': 60,
  'test/integration/ssh/durable/ssh-durable-stop.test.ts': 50,
  'test/e2e/hosts/slow-names.test.ts': 50,
  'test/e2e/jobs/live-job.test.ts': 45,
  'test/integration/ssh/attached/ssh-shells.test.ts': 40,
  'test/integration/server/server-process.test.ts': 40,
  'test/e2e/hosts/sudo-job.test.ts': 40,
  'test/integration/ssh/attached/ssh-sudo.test.ts': 40,
  'test/e2e/jobs/rollout.test.ts': 40,
  'test/integration/ssh/attached/ssh-dropbear.test.ts': 35,
  'test/integration/ssh/durable/ssh-durable-accounts.test.ts': 35,
  'test/integration/server/job-answers.test.ts': 35,
  'test/e2e/hosts/looking.test.ts': 35,
  'test/e2e/jobs/examples.test.ts': 35,
  'test/unit/inventory/ssh-config-compare.test.ts': 30,
  'test/integration/ssh/pool/ssh-pool-jump.test.ts': 30,
  'test/e2e/jobs/worker-processes.test.ts': 30,
  'test/e2e/jobs/rollout-cli.test.ts': 30,
  'test/integration/mcp/mcp-crossing.test.ts': 30,
  'test/integration/access/fair-waits.test.ts': 30,
  'test/integration/ledger/ledger-clocks.test.ts': 30,
  'test/unit/cli/run-input.test.ts': 25,
  'test/unit/cli/mistakes.test.ts': 15,
  'test/unit/runner/own-environment.test.ts': 15,
  'test/integration/ledger/jump-turns.test.ts': 15,
  'test/integration/ledger/ledger.test.ts': 10,
}

/**
 * The files of the fast lane that compute the longest, with their seconds of CPU time. They come first, so that none of
 * them is left alone at the end.
 */
export const COMPUTING: Readonly<Record<string, number>> = {
  'test/unit/ssh/launcher.test.ts': 20,
  'test/unit/inventory/secret-directories.test.ts': 8,
  'test/integration/access/key-limits.test.ts': 7,
  'test/integration/access/key-reading.test.ts': 7,
  'test/unit/public-face.test.ts': 6,
  'test/unit/ssh/quote.test.ts': 5,
  'test/unit/cli/key-files.test.ts': 5,
  'test/integration/access/job-owners.test.ts': 5,
  'test/integration/access/fair-refusals.test.ts': 4,
  'test/unit/inventory/secret-modes.test.ts': 4,
}
