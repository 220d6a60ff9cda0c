/**
 * Five hundred hosts: cold, warm, and `sleep 1` on all at once, through the whole queue path, beside the barest loop
 * over open connections and, when asked, beside other tools. One real sshd answers on five hundred loopback addresses
 * and shares the cores with everybody. Rounds are interleaved, so that a machine that drifts drifts for all.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Closers } from '@muster/runtime'
import { z } from 'zod'
import { startSshd } from '../support/ssh/sshd.ts'
import { preparePeers } from './peers.ts'
import { median, runTimed } from './process-cost.ts'
import { type BenchStack, benchScript, type StackCost, startBenchStack } from './stack.ts'
import { figure, type Row, say, table } from './table.ts'

const HOSTS = 500
const FAN_OUT = 50
const ROUNDS = 3
/** One job may have eight ninths of all places. */
const PLACES = 600
const SLEEP = 'sleep 1'

type Cpu = StackCost['cpu']
type Cost = { readonly wallMs: number; readonly cpuMs: number }

/** Costs by contestant, round by round. */
class Results {
  readonly #costs = new Map<string, Cost[]>()

  add(name: string, cost: Cost): void {
    this.#costs.set(name, [...(this.#costs.get(name) ?? []), cost])
  }

  names(): string[] {
    return [...this.#costs.keys()]
  }

  of(name: string, what: keyof Cost): number[] {
    return (this.#costs.get(name) ?? []).map((cost) => cost[what])
  }

  /** The median of one by the median of the other. */
  ratio(name: string, other: string, what: keyof Cost): string {
    return `${(median(this.of(name, what)) / median(this.of(other, what))).toFixed(2)} ×`
  }
}

/** Prints its part of the table. */
export async function benchHosts({ withPeers }: { withPeers: boolean }): Promise<void> {
  const closers = new Closers(say)
  try {
    const sshd = await startSshd()
    closers.add('sshd', () => sshd.close(), 30_000)
    const { port, user, keys, knownHosts } = sshd.facts
    const blocks = [1, 2].map((block) => ({ block, names: block === 1 ? 'h[001-250]' : 'h[251-500]' }))
    const lines = blocks.map(({ block, names }) => `  "${names}": { address: "127.0.${block}.[1-250]" }\n`)
    const yaml = `defaults: { user: ${user}, port: ${port}, identity_file: ${keys.ed25519} }\nhosts:\n${lines.join('')}`
    const stack = await startBenchStack(closers, { yaml, knownHosts })
    const addresses = blocks.flatMap(({ block }) => Array.from({ length: 250 }, (_, i) => `127.0.${block}.${i + 1}`))
    const dir = await mkdtemp(join(tmpdir(), 'muster-bench-bare-'))
    closers.add('bare loop', () => rm(dir, { recursive: true, force: true }))
    const fleet = join(dir, 'fleet.json')
    await writeFile(fleet, JSON.stringify({ addresses, port, user, key: keys.ed25519 }))
    const peers = withPeers ? await preparePeers(closers, { facts: sshd.facts, addresses, fanOut: FAN_OUT }) : []

    const row = table(`${HOSTS} hosts of a real sshd, fan-out ${FAN_OUT} (${ROUNDS} rounds)`, [
      'tool',
      'wall',
      'hosts a second',
      'client CPU per host',
    ])
    const results = new Results()
    const parts: Array<{ cold: Cpu; warm: Cpu }> = []
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const peer of peers) if (round < peer.rounds) results.add(peer.name, await peer.run())
      parts.push(await measureMuster(stack, results))
      await measureBareLoop(fleet, results)
    }
    print(row, results)
    for (const state of ['cold', 'warm'] as const) {
      const of = (part: keyof Cpu) =>
        figure(
          parts.map((cpu) => cpu[state][part] / HOSTS),
          'ms',
        )
      say(`\nMuster's client CPU, ${state}: worker ${of('worker')}, server ${of('server')}, Redis ${of('redis')}.`)
    }
    compare(results, withPeers)
  } finally {
    await closers.close()
  }
}

/** A fresh worker has no connections: its first job is cold. Answers what it and the next cost each process. */
async function measureMuster(stack: BenchStack, results: Results): Promise<{ cold: Cpu; warm: Cpu }> {
  const worker = await stack.startWorker({ places: PLACES })
  const runJob = async (name: string, command: string, concurrency: number) => {
    const cost = await stack.measure([worker], () => stack.runJob({ targets: '@*', command, concurrency }))
    results.add(name, { wallMs: cost.wallMs, cpuMs: cost.cpu.worker + cost.cpu.server + cost.cpu.redis })
    return cost
  }
  const cold = await runJob('Muster, cold', 'true', FAN_OUT)
  const warm = await runJob('Muster, warm', 'true', FAN_OUT)
  const command = ['run', '@*', '--concurrency', String(FAN_OUT), '--', 'true']
  results.add(
    '`muster run`, warm: the CLI alone',
    await runTimed([process.execPath, resolve('apps/cli/bin/muster.js'), ...command], stack.env),
  )
  await runJob(`Muster, warm, \`${SLEEP}\` on all at once`, SLEEP, HOSTS)
  await worker.stop()
  return { cold: cold.cpu, warm: warm.cpu }
}

async function measureBareLoop(fleet: string, results: Results): Promise<void> {
  const pairs = ['true', String(FAN_OUT), SLEEP, String(HOSTS)]
  const { out } = await runTimed([process.execPath, benchScript('bare-ssh2'), fleet, ...pairs], process.env)
  const [short, long] = z.array(z.object({ wallMs: z.number(), cpuMs: z.number() })).parse(JSON.parse(out))
  if (short === undefined || long === undefined) throw new Error('the bare loop ran fewer than two commands')
  results.add('bare ssh2 loop, warm', short)
  results.add(`bare ssh2 loop, warm, \`${SLEEP}\` on all at once`, long)
}

function print(row: Row, results: Results): void {
  for (const name of results.names()) {
    const [walls, cpus] = [results.of(name, 'wallMs'), results.of(name, 'cpuMs')]
    const rate = ((HOSTS * 1_000) / median(walls)).toFixed(0)
    const wall = figure(
      walls.map((ms) => ms / 1_000),
      's',
    )
    row(
      name,
      wall,
      rate,
      figure(
        cpus.map((ms) => ms / HOSTS),
        'ms',
        1,
      ),
    )
  }
}

function compare(results: Results, withPeers: boolean): void {
  const row = table('Compared', ['what', 'wall', 'goal'])
  const sleepOnAll = `warm, \`${SLEEP}\` on all at once`
  row('Muster, warm, by the bare ssh2 loop', results.ratio('Muster, warm', 'bare ssh2 loop, warm', 'wallMs'), '≤ 1.5 ×')
  row(
    `the same, \`${SLEEP}\` on all at once`,
    results.ratio(`Muster, ${sleepOnAll}`, `bare ssh2 loop, ${sleepOnAll}`, 'wallMs'),
    '≤ 1.3 ×',
  )
  if (!withPeers) return
  row('Muster, cold, by clush', results.ratio('Muster, cold', 'clush', 'wallMs'), '≤ 1.0 ×')
  row('– client CPU', results.ratio('Muster, cold', 'clush', 'cpuMs'), '≤ 0.6 ×')
  row('clush by Muster, warm', results.ratio('clush', 'Muster, warm', 'wallMs'), '≥ 5 ×')
  row(
    'xargs ssh over ControlMaster by Muster, warm',
    results.ratio('xargs ssh over ControlMaster (warm)', 'Muster, warm', 'wallMs'),
    '≥ 1.3 ×',
  )
}
