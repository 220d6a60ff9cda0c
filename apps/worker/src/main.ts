/**
 * The worker: takes tickets and runs them over SSH until it is told to stop. Talks to Redis and hosts only. With
 * several processes, this one only keeps the others running.
 */
import { randomBytes } from 'node:crypto'
import {
  AFTER_DRAIN_MS,
  createLogger,
  type KeptProcesses,
  keepRunning,
  readConfigOrExit,
  runProcess,
  SecretScrubber,
  secretsOf,
  startProcess,
} from '@muster/runtime'
import { WorkerConfig } from './config.ts'
import { startWorker } from './start-worker.ts'

const [, program = ''] = process.argv
const given = { args: process.argv.slice(2), env: process.env, exit: process.exit }
const { config, settings } = await readConfigOrExit(WorkerConfig, given)
const { env } = settings
const secrets = new SecretScrubber(secretsOf(WorkerConfig, config))
const logger = createLogger({ name: 'worker', level: config.LOG_LEVEL, secrets, file: config.MUSTER_LOG_FILE })
for (const note of settings.notes) logger.warn(note)

const graceMs = config.MUSTER_SHUTDOWN_GRACE_S * 1_000 + AFTER_DRAIN_MS
/** Shared by all processes of a worker: the parent passes it to its children. */
const salt = env.MUSTER_WORKER_SALT ?? randomBytes(32).toString('base64url')
const count = config.MUSTER_WORKER_PROCESSES

if (count === 1) {
  await runProcess({
    logger,
    graceMs,
    exit: process.exit,
    start: (life) => startWorker({ config, env, logger, scrubber: secrets, life, salt }),
  })
} else {
  let workers: KeptProcesses | undefined
  await runProcess({
    logger,
    graceMs: graceMs + AFTER_DRAIN_MS,
    exit: (status) => {
      // The remaining workers must hurry too: for them this is the second signal.
      workers?.signal('SIGTERM')
      process.exit(status)
    },
    start: async (life) => {
      const startOne = () =>
        startProcess({
          name: 'worker',
          command: process.execPath,
          args: [program, '--env-only'],
          env: { ...env, MUSTER_WORKER_PROCESSES: '1', MUSTER_WORKER_SALT: salt },
          ready: 'message',
          stopTimeoutMs: graceMs,
          log: (line) => process.stderr.write(`${line}\n`),
          signal: life.ending,
        })
      const stopTimeoutMs = graceMs + AFTER_DRAIN_MS / 2
      workers = await keepRunning({
        name: 'worker',
        count,
        start: startOne,
        life,
        stopTimeoutMs,
        say: (line) => logger.warn(line),
      })
      logger.info({ processes: count }, 'ready')
    },
  })
}
