/** The worker process: takes tickets and runs them over SSH until it is told to stop. Talks to Redis and hosts only. */
import { createLogger, loadDotEnv, parseConfigOrExit, runProcess, SecretScrubber, secretsOf } from '@muster/runtime'
import { WorkerConfig } from './config.ts'
import { startWorker } from './start-worker.ts'

const env = { ...loadDotEnv('.env'), ...process.env }
const config = parseConfigOrExit(WorkerConfig, env, process.exit)
const secrets = new SecretScrubber(secretsOf(WorkerConfig, config))
const logger = createLogger({ name: 'worker', level: config.LOG_LEVEL, secrets, file: config.MUSTER_LOG_FILE })

/** Drain, then kill and confirm, then let go: the last two must fit in here. */
const AFTER_DRAIN_MS = 20_000

await runProcess({
  logger,
  exit: (status) => process.exit(status),
  graceMs: config.MUSTER_SHUTDOWN_GRACE_S * 1_000 + AFTER_DRAIN_MS,
  start: (life) => startWorker({ config, env, logger, life }),
})
