/**
 * The system under test, all of it real: Redis, sshd as a fleet of hosts, three workers and two servers as processes,
 * and between them proxies that can fail. Injects no faults by itself (faults.ts).
 */
import { randomBytes } from 'node:crypto'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type Closers, freePort, startProcess } from '@muster/runtime'
import { type ChaosRedis, startChaosRedis } from '../support/runtime/chaos-redis.ts'
import { FaultProxy } from '../support/runtime/fault-proxy.ts'
import { Supervised } from '../support/runtime/supervised.ts'
import { type Sshd, startSshd } from '../support/ssh/sshd.ts'
import type { ChaosHost } from './commands.ts'
import { SERVERS, type ServerName, WORKERS, type WorkerName } from './fault-plan.ts'
import { liveProcesses } from './witness.ts'

/** A process of Muster and its connections. */
export type RigProcess = { readonly process: Supervised; readonly redisLink: FaultProxy }

/** Everything that runs. */
export type Rig = {
  readonly nonce: string
  readonly notesFile: string
  readonly apiKey: string
  readonly prefix: string
  readonly urls: readonly string[]
  readonly redis: ChaosRedis
  readonly sshd: Sshd
  readonly servers: Readonly<Record<ServerName, RigProcess>>
  readonly workers: Readonly<Record<WorkerName, RigProcess & { readonly sshLink: FaultProxy }>>
}

/** Nothing listens on this one, and nobody may. */
const CLOSED_PORT = 1

/** Starts everything; each part is registered with `closers`. */
export async function startRig(options: {
  /** Where `apps/*\/dist/main.js` are. */
  readonly root: string
  readonly hosts: readonly ChaosHost[]
  readonly durability: 'always' | 'relaxed'
  readonly env: Readonly<Record<string, string | undefined>>
  readonly closers: Closers
  readonly say: (line: string) => void
}): Promise<Rig> {
  const { root, hosts, durability, closers, say } = options
  const path = options.env.PATH
  const nonce = randomBytes(6).toString('hex')
  const dir = await mkdtemp(join(tmpdir(), 'muster-chaos-'))
  closers.add('directory', () => rm(dir, { recursive: true, force: true }))
  await chmod(dir, 0o755)
  const notesFile = join(dir, 'notes')
  await writeFile(notesFile, '')
  // Commands may run as another user than this one.
  await chmod(notesFile, 0o666)

  const merged = hosts.filter(({ isMerged }) => isMerged).map(({ address }) => address)
  const recorder = [`Match LocalAddress ${merged.join(',')}`, 'ForceCommand exec 2>&1; eval "$SSH_ORIGINAL_COMMAND"']
  const sshd = await startSshd([], merged.length > 0 ? recorder : [])
  closers.add('sshd', () => sshd.close())
  closers.add('commands', () => endCommands(nonce))
  const redis = await startChaosRedis({ dir: join(dir, 'redis'), path, durability, say })
  closers.add('redis', () => redis.process.close())

  const apiKey = `mst_chaos_${randomBytes(32).toString('base64url')}`
  const prefix = `chaos-${nonce}`
  const startApp = async (app: 'server' | 'worker', name: string, sshPort: number, port: number) => {
    const redisLink = await FaultProxy.start(() => redis.port)
    closers.add(`${name} to redis`, () => redisLink.close())
    const dataDir = join(dir, name)
    await mkdir(dataDir)
    await writeFile(join(dataDir, 'inventory.yaml'), inventoryOf(sshd, hosts, sshPort))
    await writeFile(join(dataDir, 'known_hosts'), knownHostsOf(sshd, sshPort))
    const env = {
      PATH: path,
      HOME: dataDir,
      REDIS_URL: `redis://127.0.0.1:${redisLink.port}`,
      MUSTER_PREFIX: prefix,
      MUSTER_CONFIG_DIR: dataDir,
      MUSTER_DATA_DIR: dataDir,
      MUSTER_INVENTORY: join(dataDir, 'inventory.yaml'),
      MUSTER_KNOWN_HOSTS: join(dataDir, 'known_hosts'),
      MUSTER_SECRET_DIRS: dirname(sshd.facts.keys.ed25519),
      MUSTER_API_KEY: apiKey,
      MUSTER_PORT: String(port),
      MUSTER_RATE_LIMIT_PER_MIN: '0',
      MUSTER_SUBMIT_LIMIT_PER_MIN: '0',
      MUSTER_SHUTDOWN_GRACE_S: '2',
      MUSTER_WORKER_PROCESSES: '1',
      LOG_LEVEL: 'warn',
    }
    const script = join(root, 'apps', app, 'dist/main.js')
    const start = () =>
      startProcess({
        name,
        command: process.execPath,
        args: [script],
        env,
        ready: 'message',
        // Drain, kill and confirm.
        stopTimeoutMs: 25_000,
      })
    const supervised = new Supervised(name, start, say)
    closers.add(name, () => supervised.close())
    await supervised.up()
    return { process: supervised, redisLink }
  }
  const startServer = async (name: ServerName) => {
    const port = await freePort()
    return { ...(await startApp('server', name, sshd.facts.port, port)), url: `http://127.0.0.1:${port}` }
  }
  const startWorker = async (name: WorkerName) => {
    const sshLink = await FaultProxy.start(() => sshd.facts.port)
    closers.add(`${name} to sshd`, () => sshLink.close())
    return { ...(await startApp('worker', name, sshLink.port, 0)), sshLink }
  }
  const servers = { server0: await startServer(SERVERS[0]), server1: await startServer(SERVERS[1]) }
  const workers = {
    worker0: await startWorker(WORKERS[0]),
    worker1: await startWorker(WORKERS[1]),
    worker2: await startWorker(WORKERS[2]),
  }
  const urls = [servers.server0.url, servers.server1.url]
  return { nonce, notesFile, apiKey, prefix, urls, redis, sshd, servers, workers }
}

/** What the commands noted so far. */
export async function readNotes(rig: Rig): Promise<string> {
  return await readFile(rig.notesFile, 'utf8')
}

/** A command whose session was killed has nobody left who would end it. */
async function endCommands(nonce: string): Promise<void> {
  for (const { pid } of await liveProcesses(nonce)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended meanwhile.
    }
  }
}

function inventoryOf({ facts }: Sshd, hosts: readonly ChaosHost[], port: number): string {
  const lines = hosts.map(
    ({ name, address, isReachable }) =>
      `  ${name}: { address: ${address}${isReachable ? '' : `, port: ${CLOSED_PORT}`} }`,
  )
  const defaults = `defaults: { user: ${facts.user}, port: ${port}, identity_file: ${facts.keys.ed25519} }`
  return [defaults, 'hosts:', ...lines, ''].join('\n')
}

function knownHostsOf({ facts }: Sshd, port: number): string {
  return Object.entries(facts.hostKeys)
    .map(([type, key]) => `[127.0.*]:${port} ${type} ${key}\n`)
    .join('')
}
