/**
 * The bare SSH work, for comparison: connects, runs `true`, closes, so many at a time, and nothing else. A process of
 * its own, so that its CPU time is only that. Prints one JSON line.
 */
import { readFile } from 'node:fs/promises'
import { connect, exec, loadKnownHosts } from '@muster/ssh'

const [fleetFile = '', runCount = '0', concurrency = '1'] = process.argv.slice(2)
const fleet: {
  hosts: { name: string; address: string; port: number; user: string }[]
  key: string
  knownHosts: string
} = JSON.parse(await readFile(fleetFile, 'utf8'))
const knownHosts = loadKnownHosts([fleet.knownHosts])
const credentials = [{ kind: 'key' as const, pem: await readFile(fleet.key), source: fleet.key }]
const { signal } = new AbortController()

async function runOnce(index: number): Promise<void> {
  const host = fleet.hosts[index % fleet.hosts.length]
  if (host === undefined) throw new Error('the fleet has no hosts')
  const reached = await connect({ ...host, credentials }, { knownHosts, timeoutMs: 30_000, signal })
  if (!reached.ok) throw new Error(`${host.name}: ${reached.detail}`)
  const end = await exec(
    reached.connection,
    { form: { command: 'true' } },
    { execTimeoutMs: 30_000, killGraceMs: 1_000, outputLimitBytes: 1_048_576, signal, onOutput: () => {} },
  )
  reached.connection.close()
  if (end.state !== 'succeeded') throw new Error(`${host.name}: ${end.state} ${end.detail}`)
}

let next = 0
const startedMs = performance.now()
const startCpu = process.cpuUsage()
await Promise.all(
  Array.from({ length: Number(concurrency) }, async () => {
    while (next < Number(runCount)) await runOnce(next++)
  }),
)
const { user, system } = process.cpuUsage(startCpu)
process.stdout.write(`${JSON.stringify({ wallMs: performance.now() - startedMs, cpuMs: (user + system) / 1_000 })}\n`)
process.exit(0)
