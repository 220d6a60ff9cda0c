/** The environment variables of the server. docs/configuration.md describes them. */
import type { BlockList } from 'node:net'
import { inventoryVariables } from '@muster/inventory'
import { LogLevel, RedisUrl } from '@muster/runtime'
import { z } from 'zod'
import { isLoopback } from './http/host-name.ts'
import { readNetworks } from './http/networks.ts'

const HOST_NAME = /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/

const HostNames = z
  .string()
  .transform((text) => text.split(',').map((name) => name.trim().toLowerCase()))
  .refine((names) => names.every((name) => HOST_NAME.test(name)), 'names without a port, separated by ","')

const Networks = z.string().transform((text, context): BlockList => {
  const read = readNetworks(text)
  if ('networks' in read) return read.networks
  context.addIssue({ code: 'custom', message: read.accepted })
  return z.NEVER
})

const DAY_MS = 86_400_000

const AdoptUntil = z.iso
  .datetime({ offset: true })
  .refine((text) => Date.parse(text) < Date.now() + DAY_MS, 'a time at most a day ahead')
  .describe('until when records of API keys without a MAC get one, at most a day ahead')

const PerMinute = z.coerce.number().int().min(0).max(1_000_000).describe('calls a minute; 0 is no limit')

const Variables = z.object({
  REDIS_URL: RedisUrl,
  MUSTER_PREFIX: z
    .string()
    .regex(/^[A-Za-z0-9._-]+$/)
    .default('muster'),
  MUSTER_HOST: z.string().default('127.0.0.1').describe('the address to listen on'),
  MUSTER_PORT: z.coerce.number().int().min(0).max(65_535).default(7_420).describe('the port; 0 takes a free one'),
  MUSTER_ALLOWED_HOSTS: HostNames.optional(),
  MUSTER_TLS_CERT_FILE: z.string().optional(),
  MUSTER_TLS_KEY_FILE: z.string().optional(),
  MUSTER_BEHIND_PROXY: z.stringbool().default(false),
  MUSTER_TRUSTED_PROXIES: Networks.optional(),
  MUSTER_API_KEY: z.string().optional().meta({ secret: true, description: 'an API key of your own' }),
  MUSTER_WORKER_PUBLIC_KEY_FILE: z.string().optional(),
  MUSTER_SERVER_KEY_FILE: z.string().optional(),
  MUSTER_ADOPT_KEYS_UNTIL: AdoptUntil.optional(),
  MUSTER_RATE_LIMIT_PER_MIN: PerMinute.default(12_000),
  MUSTER_SUBMIT_LIMIT_PER_MIN: PerMinute.default(600),
  MUSTER_DATA_DIR: z.string().describe('the directory of the first API key'),
  MUSTER_SHUTDOWN_GRACE_S: z.coerce.number().min(0).max(3_600).default(20),
  MUSTER_LOG_FILE: z.string().optional(),
  LOG_LEVEL: LogLevel.default('info'),
  ...inventoryVariables,
})

/**
 * The variables of the server. Secret ones are marked, and can also be given as `NAME_FILE`. What they say together is
 * checked as well: a server that others can reach speaks TLS, or a proxy before it does.
 */
export const ServerConfig = Variables.superRefine((given, context) => {
  const mistake = (name: keyof typeof given, message: string) =>
    context.addIssue({ code: 'custom', path: [name], message })
  const { MUSTER_TLS_CERT_FILE: cert, MUSTER_TLS_KEY_FILE: key, MUSTER_HOST: host } = given
  if (cert !== undefined && key === undefined) {
    mistake('MUSTER_TLS_KEY_FILE', 'the file of the private key, since MUSTER_TLS_CERT_FILE is set')
  }
  if (cert === undefined && key !== undefined) {
    mistake('MUSTER_TLS_CERT_FILE', 'the file of the certificate, since MUSTER_TLS_KEY_FILE is set')
  }
  if (given.MUSTER_TRUSTED_PROXIES !== undefined && !given.MUSTER_BEHIND_PROXY) {
    mistake('MUSTER_BEHIND_PROXY', '1, since MUSTER_TRUSTED_PROXIES is set; without a proxy nobody is believed')
  }
  if (!isLoopback(host) && cert === undefined && key === undefined && !given.MUSTER_BEHIND_PROXY) {
    const ways = 'MUSTER_TLS_CERT_FILE and MUSTER_TLS_KEY_FILE, or with MUSTER_BEHIND_PROXY=1 if a proxy speaks TLS'
    mistake('MUSTER_HOST', `a loopback address such as 127.0.0.1; another, which others can reach, only with ${ways}`)
  }
})
export type ServerConfig = z.infer<typeof ServerConfig>
