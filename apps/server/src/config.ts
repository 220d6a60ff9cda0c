/** The environment variables of the server. docs/configuration.md describes them. */
import { inventoryVariables } from '@muster/inventory'
import { LogLevel } from '@muster/runtime'
import { z } from 'zod'

const HOST_NAME = /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/

const HostNames = z
  .string()
  .transform((text) => text.split(',').map((name) => name.trim().toLowerCase()))
  .refine((names) => names.every((name) => HOST_NAME.test(name)), 'names without a port, separated by ","')

const PerMinute = z.coerce.number().int().min(0).max(1_000_000).describe('calls a minute; 0 is no limit')

/** The variables of the server. Secret ones are marked, and can also be given as `NAME_FILE`. */
export const ServerConfig = z.object({
  REDIS_URL: z.string().meta({ secret: true, description: 'a redis:// or rediss:// address' }),
  MUSTER_PREFIX: z
    .string()
    .regex(/^[A-Za-z0-9._-]+$/)
    .default('muster'),
  MUSTER_HOST: z.string().default('127.0.0.1').describe('the address to listen on'),
  MUSTER_PORT: z.coerce.number().int().min(0).max(65_535).default(7_420).describe('the port; 0 takes a free one'),
  MUSTER_ALLOWED_HOSTS: HostNames.optional(),
  MUSTER_API_KEY: z.string().optional().meta({ secret: true, description: 'an API key of your own' }),
  MUSTER_RATE_LIMIT_PER_MIN: PerMinute.default(12_000),
  MUSTER_SUBMIT_LIMIT_PER_MIN: PerMinute.default(600),
  MUSTER_DATA_DIR: z.string().describe('the directory of the first API key'),
  MUSTER_SHUTDOWN_GRACE_S: z.coerce.number().min(0).max(3_600).default(20),
  MUSTER_LOG_FILE: z.string().optional(),
  LOG_LEVEL: LogLevel.default('info'),
  ...inventoryVariables,
})
export type ServerConfig = z.infer<typeof ServerConfig>
