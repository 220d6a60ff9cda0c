/** The variables of `muster`. docs/configuration.md describes them. */
import { availableParallelism } from 'node:os'
import { RedisUrl } from '@muster/runtime'
import { z } from 'zod'

/** The environment variables of `muster`. */
export const CliConfig = z.object({
  REDIS_URL: RedisUrl.optional(),
  MUSTER_DATA_DIR: z.string().describe('the directory of the local server'),
  MUSTER_KNOWN_HOSTS: z.string().optional(),
  SSH_SERVERS: z.string().optional().meta({ secret: true, description: 'name:host:user[:password],…' }),
  MUSTER_SERVER: z.string().optional().describe('a server that you have logged in to'),
  MUSTER_URL: z.string().optional(),
  MUSTER_API_KEY: z.string().optional().meta({ secret: true, description: 'an API key' }),
  MUSTER_ALLOW_HTTP: z.stringbool().default(false),
  MUSTER_WORKER_PROCESSES: z.coerce.number().int().min(1).max(256).default(availableParallelism()),
  MUSTER_SHUTDOWN_GRACE_S: z.coerce.number().min(0).max(3_600).default(20),
})
export type CliConfig = z.infer<typeof CliConfig>
