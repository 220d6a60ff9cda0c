/** The environment variables of a worker. docs/configuration.md describes them. */
import { availableParallelism } from 'node:os'
import { workerInventoryVariables } from '@muster/inventory'
import { LogLevel, RedisUrl } from '@muster/runtime'
import { z } from 'zod'

/** The variables of a worker. Secret ones are marked, and can also be given as `NAME_FILE`. */
export const WorkerConfig = z.object({
  REDIS_URL: RedisUrl,
  MUSTER_PREFIX: z
    .string()
    .regex(/^[A-Za-z0-9._-]+$/)
    .default('muster'),
  MUSTER_KNOWN_HOSTS: z.string().optional(),
  MUSTER_WORKER_KEY_FILE: z.string().optional(),
  MUSTER_SERVER_PUBLIC_KEY_FILE: z.string().optional(),
  MUSTER_WORKER_PROCESSES: z.coerce.number().int().min(1).max(256).default(availableParallelism()),
  MUSTER_WORKER_CONCURRENCY: z.coerce.number().int().min(1).max(2_000).default(200),
  MUSTER_SHUTDOWN_GRACE_S: z.coerce.number().min(0).max(3_600).default(20),
  MUSTER_LOG_FILE: z.string().optional(),
  LOG_LEVEL: LogLevel.default('info'),
  ...workerInventoryVariables,
})
export type WorkerConfig = z.infer<typeof WorkerConfig>
