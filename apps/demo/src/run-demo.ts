/**
 * The demo, step by step: a fleet of twenty hosts, `muster up`, one `muster run` on all of them, a rollout that stops
 * by itself, and other ways to see the job.
 *
 * It uses the product as a person does, through the `muster` command, and knows nothing of its inside.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { OPERATIONS } from '@muster/contract'
import { type Closers, readServerFile, startProcess, toolEnvironment } from '@muster/runtime'
import { startDemoFleet } from './demo-fleet.ts'

const MUSTER = fileURLToPath(new URL('../../cli/bin/muster.js', import.meta.url))
const HEALTH_CHECK = fileURLToPath(new URL('../health-check.sh', import.meta.url))
const UPDATE = fileURLToPath(new URL('../update.sh', import.meta.url))
const UP_TIMEOUT_MS = 180_000

/** The hosts of the demo; the last one is down. */
const HOSTS = Array.from({ length: 20 }, (_, i) => {
  const name = `demo${String(i + 1).padStart(2, '0')}`
  return { name, unreachable: name === 'demo20' }
})

/** What the demo needs from its process. */
export type DemoOptions = {
  /** An empty directory for everything the demo writes. */
  dataDir: string
  env: Record<string, string | undefined>
  say: (line: string) => void
  closers: Closers
  /** Aborts when the person at the terminal presses Ctrl-C. */
  signal: AbortSignal
}

/**
 * Runs the demo. Everything it starts is registered with `closers`.
 * @throws {MusterError} when a part cannot be started
 */
export async function runDemo({ dataDir, env, say, closers, signal }: DemoOptions): Promise<void> {
  const fleet = await startDemoFleet({ hosts: HOSTS })
  closers.add('demo fleet', () => fleet.close())
  const files = await writeFiles(dataDir, fleet)
  say(`Demo fleet: ${HOSTS.length} hosts on this machine, in the group @demo`)

  const demoEnv = {
    // Not the settings, servers and keys of the person who tries it.
    ...toolEnvironment(env),
    XDG_STATE_HOME: dataDir,
    MUSTER_CONFIG_DIR: dataDir,
    MUSTER_DATA_DIR: dataDir,
    MUSTER_PREFIX: `demo-${process.pid}`,
    MUSTER_PORT: '0',
    MUSTER_INVENTORY: files.inventory,
    MUSTER_KNOWN_HOSTS: files.knownHosts,
    MUSTER_WORKER_PROCESSES: '2',
    LOG_LEVEL: 'warn',
  }
  const up = await startProcess({
    name: 'muster up',
    command: process.execPath,
    args: [MUSTER, 'up', '--install'],
    env: demoEnv,
    cwd: dataDir,
    // The last line it prints once it is up, so that no other line comes in between later.
    ready: /^Try: /,
    readyTimeoutMs: UP_TIMEOUT_MS,
    stopTimeoutMs: 30_000,
    log: (line) => say(`  ${line}`),
    signal,
  })
  closers.add('muster up', () => up.stop(), 35_000)

  const { url } = await readServerFile(dataDir)
  const key = (await readFile(join(dataDir, 'api-key'), 'utf8')).trim()
  say('\n$ muster run @demo --script health-check.sh')
  await showCommand(['run', '@demo', '--script', HEALTH_CHECK], demoEnv, dataDir, signal)
  say('\nA change goes to two hosts first. It fails on one of them, so the other eighteen are never touched:')
  say('$ muster run @demo --canary 2 --script update.sh')
  await showCommand(['run', '@demo', '--canary', '2', '--script', UPDATE], demoEnv, dataDir, signal)
  await sayWhereToLook({ url, key, say })
}

/** Runs `muster` on this terminal. It exits with an error because some hosts fail, as the demo intends. */
async function showCommand(
  args: readonly string[],
  env: Record<string, string | undefined>,
  cwd: string,
  signal: AbortSignal,
): Promise<void> {
  const child = spawn(process.execPath, [MUSTER, ...args], { env, cwd, stdio: 'inherit', signal })
  await once(child, 'exit')
}

async function sayWhereToLook({ url, key, say }: { url: string; key: string; say: (line: string) => void }) {
  const answer = await fetch(`${url}/v1/jobs?limit=1`, {
    headers: { authorization: `Bearer ${key}` },
    signal: AbortSignal.timeout(10_000),
  })
  const [job] = OPERATIONS.list_jobs.output.parse(await answer.json()).jobs
  if (job === undefined) return
  say(`\nThe same job, three more ways:`)
  say(`  job ID      ${job.job_id}`)
  say(`  REST        curl -H 'Authorization: Bearer ${key}' ${url}/v1/jobs/${job.job_id}`)
  say(`  Bull Board  ${url}/board  (any user name, the key as the password)`)
}

async function writeFiles(
  dataDir: string,
  fleet: Awaited<ReturnType<typeof startDemoFleet>>,
): Promise<{ inventory: string; knownHosts: string }> {
  const inventory = join(dataDir, 'inventory.yaml')
  const knownHosts = join(dataDir, 'known_hosts')
  const key = join(dataDir, 'id_ed25519')
  await writeFile(key, fleet.clientKeyPem, { mode: 0o600 })
  await writeFile(knownHosts, fleet.knownHosts, { mode: 0o600 })
  const hosts = fleet.hosts.map(({ name, address, port }) => `  ${name}: { address: ${address}, port: ${port} }`)
  const [first] = fleet.hosts
  await writeFile(
    inventory,
    [
      `defaults: { user: ${first?.user}, identity_file: ${key} }`,
      'hosts:',
      ...hosts,
      'groups:',
      '  demo: "demo[01-20]"',
      '',
    ].join('\n'),
    { mode: 0o600 },
  )
  return { inventory, knownHosts }
}
