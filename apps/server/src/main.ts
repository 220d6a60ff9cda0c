/** The server process: REST, MCP and Bull Board. Talks to Redis and to callers, never to hosts. */
import { withoutPasswords } from '@muster/contract'
import {
  createLogger,
  leaveWorkingDirectory,
  readConfigOrExit,
  runProcess,
  SecretScrubber,
  secretsOf,
} from '@muster/runtime'
import { ServerConfig } from './config.ts'
import { operatorOf } from './operator.ts'

const given = { args: process.argv.slice(2), env: process.env, exit: process.exit }
const { config: full, settings } = await readConfigOrExit(ServerConfig, given)
// A server never logs in to a host.
const config = { ...full, SSH_SERVERS: full.SSH_SERVERS && withoutPasswords(full.SSH_SERVERS) }
const secrets = new SecretScrubber(secretsOf(ServerConfig, full))
const logger = createLogger({ name: 'server', level: config.LOG_LEVEL, secrets, file: config.MUSTER_LOG_FILE })
const { stdout, ppid, connected } = process
const operator = operatorOf({ stdout, ppid, connected: connected === true })
for (const note of settings.notes) logger.warn(note)

leaveWorkingDirectory(settings.env)

await runProcess({
  logger,
  exit: (status) => process.exit(status),
  graceMs: config.MUSTER_SHUTDOWN_GRACE_S * 1_000,
  start: async (life) => {
    // What it loads asks for the working directory, which may have been removed: it has been left by now.
    const { startServer } = await import('./start-server.ts')
    return await startServer({ config, env: settings.env, logger, life, operator })
  },
})
