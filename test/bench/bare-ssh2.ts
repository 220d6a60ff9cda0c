/**
 * The barest loop over open connections: plain ssh2, one channel per command, so many at a time, and nothing of
 * Muster's. What it takes is the least that any client made of ssh2 takes. A process of its own, so that its CPU time
 * is only that.
 *
 * Arguments: a file with hosts, user and key, then pairs of a command and how many run at once. Opens all connections,
 * which is not measured, and prints one JSON array with what each pair took. Knows every host: it trusts its key
 * unseen.
 */
import { readFile } from 'node:fs/promises'
import { Client } from 'ssh2'
import { z } from 'zod'

const [fleetFile = '', ...pairs] = process.argv.slice(2)
const Fleet = z.object({ addresses: z.array(z.string()), port: z.number(), user: z.string(), key: z.string() })
const fleet = Fleet.parse(JSON.parse(await readFile(fleetFile, 'utf8')))
const privateKey = await readFile(fleet.key)

function open(host: string): Promise<Client> {
  return new Promise((resolve, reject) => {
    const client = new Client()
    client.once('ready', () => resolve(client)).once('error', reject)
    client.connect({ host, port: fleet.port, username: fleet.user, privateKey, readyTimeout: 30_000 })
    // As Muster does; else each command waits forty milliseconds for an acknowledgement.
    client.setNoDelay(true)
  })
}

function run(client: Client, command: string): Promise<void> {
  return new Promise((resolve, reject) => {
    client.exec(command, (error, channel) => {
      if (error !== undefined) return reject(error)
      let status: number | null = null
      channel.on('exit', (code: number | null) => {
        status = code
      })
      channel.on('close', () => (status === 0 ? resolve() : reject(new Error(`exit status ${status}`))))
      channel.resume().stderr.resume()
    })
  })
}

/** Does `work` for each, so many at a time. */
async function forEach<T>(each: readonly T[], atOnce: number, work: (one: T) => Promise<void>): Promise<void> {
  const rest = each.values()
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const one of rest) await work(one)
    }),
  )
}

const clients: Client[] = []
await forEach(fleet.addresses, 50, async (address) => {
  clients.push(await open(address))
})
const took: Array<{ wallMs: number; cpuMs: number }> = []
for (let i = 0; i + 1 < pairs.length; i += 2) {
  const [command = '', atOnce] = pairs.slice(i, i + 2)
  const startedMs = performance.now()
  const startCpu = process.cpuUsage()
  await forEach(clients, Number(atOnce), (client) => run(client, command))
  const { user, system } = process.cpuUsage(startCpu)
  took.push({ wallMs: performance.now() - startedMs, cpuMs: (user + system) / 1_000 })
}
process.stdout.write(`${JSON.stringify(took)}\n`)
process.exit(0)
