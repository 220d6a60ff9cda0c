/**
 * What it costs that outcomes can be trusted: the ledger's part of a run in Redis, durable mode against attached mode,
 * and a cancel of two hundred running commands until every one of them is confirmed dead. Over a real sshd.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { OPERATIONS, type Request, Submit } from '@muster/contract'
import { claimRun, dispatchRun, finishRun, openLedger, startHeartbeat, submitJob } from '@muster/ledger'
import { Closers } from '@muster/runtime'
import { startSshd } from '../support/ssh/sshd.ts'
import { median } from './process-cost.ts'
import { type BenchStack, redisCpuMs, startBenchStack } from './stack.ts'
import { type Row, say, table } from './table.ts'

const LEDGER_RUNS = 5_000
const HOSTS = 200
const DURABLE_RUNS = 60
const ROUNDS = 3

/** Prints its part of the table. */
export async function benchOutcomes(): Promise<void> {
  const closers = new Closers(say)
  try {
    const row = table('What it costs that outcomes can be trusted')
    const sshd = await startSshd()
    closers.add('sshd', () => sshd.close())
    const { port, user, keys, knownHosts } = sshd.facts
    const yaml = [
      `defaults: { user: ${user}, port: ${port}, identity_file: ${keys.ed25519} }`,
      'hosts:',
      `  "h[001-${HOSTS}]": { address: "127.0.1.[1-${HOSTS}]" }`,
      '',
    ].join('\n')
    const stack = await startBenchStack(closers, { yaml, knownHosts })
    await stack.startWorker({ places: HOSTS + 50 })
    await benchLedger(row, stack, closers)
    await benchDurable(row, stack)
    await benchCancel(row, stack)
  } finally {
    await closers.close()
  }
}

/** Claim, dispatch mark and finish of runs without a host, with a heartbeat beside them; nothing else asks Redis. */
async function benchLedger(row: Row, stack: BenchStack, closers: Closers): Promise<void> {
  const ledger = await openLedger({ redisUrl: String(stack.env.REDIS_URL), prefix: 'bench-ledger', role: 'worker' })
  closers.add('ledger', () => ledger.close())
  const lease = await startHeartbeat(ledger, 'bench', {
    onError: () => {},
    onLapse: () => {},
    claims: () => [],
    places: 200,
  })
  closers.add('lease', () => lease.stop())
  const request = Submit.parse({ command: 'true', targets: '@*', concurrency: LEDGER_RUNS })
  const hosts = Array.from({ length: LEDGER_RUNS }, (_, i) => `h${i}`)
  const { jobId } = await submitJob(ledger, { request, hosts, owner: 'bench' })
  const end = { state: 'succeeded', remote: 'ended', reason: null, detail: null, exitCode: 0, signal: null } as const
  const before = await redisCpuMs(stack.redis)
  for (const [index, host] of hosts.entries()) {
    const claim = await claimRun(ledger, { job_id: jobId, index, host, attempt: 1, reissue: 0 }, 'bench')
    if (claim === undefined) throw new Error('somebody else has claimed the run')
    await dispatchRun(ledger, claim, { connectMs: 1, mode: 'attached' })
    await finishRun(ledger, claim, { ...end, isRetryable: false })
  }
  const ms = ((await redisCpuMs(stack.redis)) - before) / LEDGER_RUNS
  row(`Redis CPU per run: claim, dispatch, finish, heartbeat (${LEDGER_RUNS} runs)`, `${ms.toFixed(3)} ms`, '< 1 ms')
}

async function benchDurable(row: Row, stack: BenchStack): Promise<void> {
  const times: Record<'attached' | 'durable', number[]> = { attached: [], durable: [] }
  const request = { targets: `h[001-${String(DURABLE_RUNS).padStart(3, '0')}]`, command: 'true', concurrency: 1 }
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const mode of ['attached', 'durable'] as const) {
      const job = await stack.runJob({ ...request, durable: mode === 'durable' })
      const { body } = await stack.timed('GET', `${job.links.runs}?limit=1000`)
      const { runs } = OPERATIONS.list_runs.output.parse(body)
      if (runs.some((run) => run.state !== 'succeeded' || run.mode !== mode)) throw new Error(JSON.stringify(runs[0]))
      times[mode].push(...runs.map((run) => run.duration_ms ?? 0))
    }
  }
  const [attached, durable] = [median(times.attached), median(times.durable)]
  row(`from dispatch to end, attached (${ROUNDS} × ${DURABLE_RUNS}, one at a time)`, `${attached.toFixed(0)} ms`)
  row('the same, durable', `${durable.toFixed(0)} ms`)
  row('what durable mode adds', `${(durable - attached).toFixed(0)} ms`, '< 40 ms')
}

async function benchCancel(row: Row, stack: BenchStack): Promise<void> {
  const graceS = 2
  const commands = { 'end at TERM': 'sleep 600', 'ignore TERM': `trap '' TERM; while :; do sleep 1; done` }
  for (const [what, command] of Object.entries(commands)) {
    const request: Request<'submit_job'> = { targets: '@*', command, concurrency: HOSTS, kill_grace_s: graceS }
    const job = OPERATIONS.submit_job.output.parse((await stack.timed('POST', '/v1/jobs', request)).body)
    const look = async (query = '') =>
      OPERATIONS.get_job.output.parse((await stack.timed('GET', `${job.links.self}${query}`)).body)
    while ((await look()).counts.running < HOSTS) await sleep(200)
    const startedMs = performance.now()
    await stack.timed('POST', `${job.links.self}/cancel`, {})
    let now = await look('?wait_s=45')
    while (now.ended_at === null) now = await look('?wait_s=45')
    const seconds = (performance.now() - startedMs) / 1_000
    const confirmed = `${now.counts.cancelled} of ${HOSTS} confirmed dead in ${seconds.toFixed(1)} s`
    row(`cancel ${HOSTS} commands that ${what} (grace ${graceS} s)`, confirmed, `< ${graceS + 4} s`)
  }
}
