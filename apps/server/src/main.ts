/** The server process: REST, MCP and Bull Board. Talks to Redis and to callers, never to hosts. */
import { createLogger, loadDotEnv, parseConfigOrExit, runProcess, SecretScrubber, secretsOf } from '@muster/runtime'
import { ServerConfig } from './config.ts'
import { startServer } from './start-server.ts'

const env = { ...loadDotEnv('.env'), ...process.env }
const config = parseConfigOrExit(ServerConfig, env, process.exit)
const secrets = new SecretScrubber(secretsOf(ServerConfig, config))
const logger = createLogger({ name: 'server', level: config.LOG_LEVEL, secrets, file: config.MUSTER_LOG_FILE })

await runProcess({
  logger,
  exit: (status) => process.exit(status),
  graceMs: config.MUSTER_SHUTDOWN_GRACE_S * 1_000,
  start: (life) => startServer({ config, logger, life, print: (line) => process.stdout.write(`${line}\n`) }),
})
