/**
 * `npm run bench`: the figures of docs/benchmarks.md, measured here and now, side by side. Nothing is asserted; the
 * machine is named, so that two tables can be compared honestly. `npm run bench -- noop fairness` measures only these
 * parts; `--peers` compares with other tools as well, and installs those that are missing.
 */
import { cpus, loadavg, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import { takeOwnEnvironment } from '../support/runner/own-environment.ts'
import { benchEventLoop } from './event-loop.ts'
import { benchFairness } from './fairness.ts'
import { benchHostCpu } from './host-cpu.ts'
import { benchHosts } from './hosts.ts'
import { benchLargeJob } from './large-job.ts'
import { benchMcp } from './mcp.ts'
import { benchNoop } from './noop.ts'
import { benchOutcomes } from './outcomes.ts'
import { benchRuns } from './runs.ts'
import { benchSubmit } from './submit.ts'
import { say } from './table.ts'

takeOwnEnvironment()

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { peers: { type: 'boolean', default: false } },
})

/** The parts by name, in the order in which they are measured. */
const PARTS: Readonly<Record<string, () => Promise<void>>> = {
  submit: benchSubmit,
  noop: benchNoop,
  large: benchLargeJob,
  fairness: benchFairness,
  hosts: () => benchHosts({ withPeers: values.peers }),
  'host-cpu': benchHostCpu,
  runs: benchRuns,
  outcomes: benchOutcomes,
  'event-loop': benchEventLoop,
  mcp: benchMcp,
}

const unknown = positionals.filter((name) => !Object.hasOwn(PARTS, name))
if (unknown.length > 0) {
  process.stderr.write(`no such part: ${unknown.join(', ')}; there are ${Object.keys(PARTS).join(', ')}\n`)
  process.exit(2)
}

const machine = `${cpus().length} cores (${cpus()[0]?.model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GiB`
say(`${machine}, Node ${process.version}, ${new Date().toISOString()}`)
say(`What else the machine does, before the first part: load ${loadavg()[0]?.toFixed(1)} in the last minute.`)
for (const [name, measure] of Object.entries(PARTS)) {
  if (positionals.length === 0 || positionals.includes(name)) await measure()
}
