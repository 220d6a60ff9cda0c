/**
 * Whether a large job holds up a small one: while a job on ten thousand hosts occupies the worker with commands of
 * seconds, jobs on one host are submitted, and it is read how long each waited for its command to start. Over a real
 * sshd, which shares the cores.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { OPERATIONS } from '@muster/contract'
import { Closers } from '@muster/runtime'
import { startSshd } from '../support/ssh/sshd.ts'
import { startBenchStack } from './stack.ts'
import { medianAndWorst, say, table } from './table.ts'

const SMALL_JOBS = 20
const PAUSE_MS = 500

/** Prints its part of the table. */
export async function benchFairness(): Promise<void> {
  const closers = new Closers(say)
  try {
    const row = table('A job of one run beside a job of 10000')
    const sshd = await startSshd()
    closers.add('sshd', () => sshd.close())
    const { port, user, keys, knownHosts } = sshd.facts
    const ranges = Array.from({ length: 40 }, (_, i) => {
      const [from, to] = [i * 250 + 1, (i + 1) * 250].map((index) => String(index).padStart(5, '0'))
      return `  "h[${from}-${to}]": { address: "127.0.${i + 1}.[1-250]" }\n`
    })
    const yaml = [
      `defaults: { user: ${user}, port: ${port}, identity_file: ${keys.ed25519} }\n`,
      `hosts:\n  small: { address: 127.0.0.1 }\n${ranges.join('')}`,
    ].join('')
    const stack = await startBenchStack(closers, { yaml, knownHosts })
    await stack.startWorker()
    const request = { targets: 'h[00001-10000]', command: 'sleep 10', concurrency: 10_000, kill_grace_s: 1 }
    const large = OPERATIONS.submit_job.output.parse((await stack.timed('POST', '/v1/jobs', request)).body)
    const look = async () => OPERATIONS.get_job.output.parse((await stack.timed('GET', large.links.self)).body)
    // Until places are given back as fast as they are taken.
    while ((await look()).counts.succeeded < 200) await sleep(PAUSE_MS)
    const waits: number[] = []
    const dials: number[] = []
    for (let i = 0; i < SMALL_JOBS; i += 1) {
      const job = await stack.runJob({ targets: 'small', command: 'true' })
      const { body } = await stack.timed('GET', job.links.runs)
      const [run] = OPERATIONS.list_runs.output.parse(body).runs
      if (run?.started_at == null) throw new Error('a run succeeded without a start')
      waits.push(Date.parse(run.started_at) - Date.parse(job.created_at))
      dials.push(run.connect_ms ?? 0)
      await sleep(PAUSE_MS)
    }
    if ((await look()).ended_at !== null) throw new Error('the large job ended too soon')
    row(`from submit to start of the command (${SMALL_JOBS} times)`, medianAndWorst(waits), '< 1000 ms')
    row('– of that, reaching the host and logging in', medianAndWorst(dials))
    await stack.timed('POST', `${large.links.self}/cancel`, {})
    while ((await look()).ended_at === null) await sleep(PAUSE_MS)
  } finally {
    await closers.close()
  }
}
