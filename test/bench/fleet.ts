/** The demo fleet in a process of its own, so that its CPU time is its own. Tells its parent where it is. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startDemoFleet } from '@muster/demo/demo-fleet'

const [hostCount = '1', directory = ''] = process.argv.slice(2)
const names = Array.from({ length: Number(hostCount) }, (_, i) => ({ name: `b${String(i + 1).padStart(3, '0')}` }))
const fleet = await startDemoFleet({ hosts: names })
const key = join(directory, 'id_ed25519')
const knownHosts = join(directory, 'fleet_known_hosts')
await writeFile(key, fleet.clientKeyPem, { mode: 0o600 })
await writeFile(knownHosts, fleet.knownHosts)
await writeFile(join(directory, 'fleet.json'), JSON.stringify({ hosts: fleet.hosts, key, knownHosts }))
process.send?.({ ready: true })
process.once('disconnect', () => process.exit(0))
process.once('SIGTERM', () => process.exit(0))
