/** Muster as it is: Redis, a server and a worker as processes, and hosts that a real sshd answers for. */
import type { Closers } from '@muster/runtime'
import { type BenchStack, startBenchStack } from '../bench/stack.ts'
import { startSshd } from '../support/ssh/sshd.ts'

/** A running Muster, and what another server needs to work beside it. */
export type Product = BenchStack & { readonly prefix: string; readonly inventoryYaml: string }

const PREFIX = 'conformance'

/** Hosts for commands that sleep: enough that none waits for another's place. */
export const TASK_HOSTS: readonly string[] = Array.from({ length: 40 }, (_, i) => `task${i + 1}`)

/** Starts it. Everything is registered with `closers`. The group is `@web`, of `web1` to `web4`. */
export async function startProduct(closers: Closers): Promise<Product> {
  const sshd = await startSshd()
  closers.add('sshd', () => sshd.close(), 30_000)
  const { user, port, keys, knownHosts } = sshd.facts
  const inventoryYaml = [
    `defaults: { user: ${user}, port: ${port}, identity_file: ${keys.ed25519} }`,
    'hosts:',
    '  "web[1-4]": { address: "127.0.1.[1-4]" }',
    `  "task[1-${TASK_HOSTS.length}]": { address: "127.0.2.[1-${TASK_HOSTS.length}]" }`,
    'groups:',
    '  web: "web[1-4]"',
    '',
  ].join('\n')
  // Some scenarios leave commands that sleep for a minute; nobody needs to wait for their end.
  const settings = { MUSTER_PREFIX: PREFIX, MUSTER_SHUTDOWN_GRACE_S: '1' }
  const stack = await startBenchStack(closers, { yaml: inventoryYaml, knownHosts }, settings)
  await stack.startWorker()
  return { ...stack, prefix: PREFIX, inventoryYaml }
}
