/** The home directory of a person who has hosts, as `muster mcp` and `muster up` find it. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sharedRedisUrl } from '../runtime/shared-redis.ts'
import { fleetFiles, secretDirs } from '../stack/fleet-files.ts'
import { sparseEnv } from './mcp-stdio.ts'

/** A home directory with an inventory and known hosts where they usually are. */
export async function homeWithFleet(hosts: number) {
  // The shared Redis and sshd see to it that both programs are there.
  sharedRedisUrl()
  const env = await sparseEnv()
  const { inventory, knownHosts } = fleetFiles(hosts)
  for (const [directory, file, text] of [
    ['.config/muster', 'inventory.yaml', inventory],
    ['.ssh', 'known_hosts', knownHosts],
  ] as const) {
    await mkdir(join(env.HOME, directory), { recursive: true })
    await writeFile(join(env.HOME, directory, file), text)
  }
  return { ...env, MUSTER_SECRET_DIRS: secretDirs() }
}
