/** The configuration of `muster`, and where it finds a local server and its key. */
import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { MusterError } from '@muster/contract'
import { readServerFile } from '@muster/runtime'
import { z } from 'zod'

/** The environment variables of `muster`. */
export const CliConfig = z.object({
  REDIS_URL: z.string().optional().meta({ secret: true, description: 'a redis:// or rediss:// address' }),
  MUSTER_DATA_DIR: z.string().describe('the directory of the local server'),
  SSH_SERVERS: z.string().optional().meta({ secret: true, description: 'name:host:user[:password],…' }),
  MUSTER_URL: z.url().optional(),
  MUSTER_API_KEY: z.string().optional().meta({ secret: true, description: 'an API key' }),
  MUSTER_WORKER_PROCESSES: z.coerce.number().int().min(1).max(256).default(availableParallelism()),
  MUSTER_SHUTDOWN_GRACE_S: z.coerce.number().min(0).max(3_600).default(20),
})
export type CliConfig = z.infer<typeof CliConfig>

/**
 * The server to talk to and the key for it: the configured ones, else the local ones from the data directory.
 * @throws {MusterError} invalid_config when there is neither
 */
export async function findServer(config: CliConfig): Promise<{ url: string; apiKey: string }> {
  const dataDir = config.MUSTER_DATA_DIR
  const url = config.MUSTER_URL ?? (await localUrl(dataDir))
  const apiKey = config.MUSTER_API_KEY ?? (await readLocalKey(dataDir))
  if (apiKey !== undefined) return { url: url.replace(/\/$/, ''), apiKey }
  const advice = `set MUSTER_API_KEY, or MUSTER_DATA_DIR to the server's data directory (now ${dataDir})`
  throw new MusterError('invalid_config', `no API key: ${advice}`)
}

/** The API key in the file `api-key` of a data directory; undefined when the file is missing or empty. */
export async function readLocalKey(dataDir: string): Promise<string | undefined> {
  const text = await readFile(join(dataDir, 'api-key'), 'utf8').catch(() => '')
  return text.trim() || undefined
}

async function localUrl(dataDir: string): Promise<string> {
  try {
    return (await readServerFile(dataDir)).url
  } catch (error) {
    const advice = 'start one with "muster up", or set MUSTER_URL'
    const detail = `no server runs here (${dataDir}/server.json is missing): ${advice}`
    throw new MusterError('invalid_config', detail, { cause: error })
  }
}
