/** The server as a process of its own, as an operator starts it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { onTestFinished } from 'vitest'
import { sharedRedisUrl } from '../runtime/shared-redis.ts'
import { INVENTORY_YAML } from './server.ts'

/** Starts `main.js`; `log` and `out` grow while it runs. Resolves when it is ready, or has ended. */
export async function startServerProcess(
  dataDir: string,
  env: Record<string, string> = {},
  args: readonly string[] = [],
) {
  await writeFile(join(dataDir, 'inventory.yaml'), INVENTORY_YAML)
  const child = spawn(process.execPath, ['--', resolve('apps/server/dist/main.js'), ...args], {
    cwd: '/',
    env: { ...placesIn(dataDir), USER: 'me', REDIS_URL: sharedRedisUrl(), MUSTER_PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  const said = { out: '', log: '' }
  child.stdout.on('data', (chunk: Buffer) => {
    said.out += chunk.toString()
  })
  const ended = once(child, 'close')
  await new Promise<void>((settle) => {
    child.once('close', () => settle())
    child.stderr.on('data', (chunk: Buffer) => {
      said.log += chunk.toString()
      if (said.log.includes('"msg":"ready"')) settle()
    })
  })
  const stop = async () => {
    child.kill('SIGTERM')
    await ended
    return child.exitCode
  }
  return { child, said, stop, ended }
}

/** A configuration and a data directory of its own. */
export const placesIn = (dataDir: string) => ({
  HOME: dataDir,
  MUSTER_CONFIG_DIR: dataDir,
  MUSTER_DATA_DIR: join(dataDir, 'state'),
})
