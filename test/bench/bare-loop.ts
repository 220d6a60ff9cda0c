/**
 * The bare SSH work of `libs/ssh`, for comparison: runs `true` over connections that are open, so many at a time, and
 * nothing else. A process of its own, so that its CPU time is only that. Prints one JSON line.
 */
import { readFile } from 'node:fs/promises'
import { connect, exec, loadKnownHosts, type SshConnection } from '@muster/ssh'

const [fleetFile = '', runCount = '0', concurrency = '1'] = process.argv.slice(2)
const fleet: {
  hosts: { name: string; address: string; port: number; user: string }[]
  key: string
  knownHosts: string
} = JSON.parse(await readFile(fleetFile, 'utf8'))
const knownHosts = loadKnownHosts([fleet.knownHosts])
const credentials = [{ kind: 'key' as const, pem: await readFile(fleet.key), source: fleet.key }]
const { signal } = new AbortController()

/** Does `work` for 0, 1, ... up to `count`, so many at a time. */
async function times(count: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0
  await Promise.all(
    Array.from({ length: Number(concurrency) }, async () => {
      while (next < count) await work(next++)
    }),
  )
}

const connections: SshConnection[] = []
await times(fleet.hosts.length, async (index) => {
  const host = fleet.hosts[index]
  if (host === undefined) throw new Error('there is no such host')
  const reached = await connect({ ...host, credentials }, { knownHosts, timeoutMs: 30_000, signal })
  if (!reached.ok) throw new Error(`${host.name}: ${reached.detail}`)
  connections.push(reached.connection)
})

const startedMs = performance.now()
const startCpu = process.cpuUsage()
await times(Number(runCount), async (index) => {
  const connection = connections[index % connections.length]
  if (connection === undefined) throw new Error('the fleet has no hosts')
  const end = await exec(
    connection,
    { form: { command: 'true' } },
    { execTimeoutMs: 30_000, killGraceMs: 1_000, outputLimitBytes: 1_048_576, signal, onOutput: () => {} },
  )
  if (end.state !== 'succeeded') throw new Error(`${end.state} ${end.detail}`)
})
const { user, system } = process.cpuUsage(startCpu)
process.stdout.write(`${JSON.stringify({ wallMs: performance.now() - startedMs, cpuMs: (user + system) / 1_000 })}\n`)
process.exit(0)
