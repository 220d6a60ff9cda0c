/** Submitting to ten thousand hosts and reading the status: no worker, so nothing else has the cores. */
import { OPERATIONS } from '@muster/contract'
import { Closers } from '@muster/runtime'
import { startBenchStack } from './stack.ts'
import { medianAndWorst, say, table } from './table.ts'

const HOST_COUNT = 10_000

/** Prints its part of the table. */
export async function benchSubmit(): Promise<void> {
  const closers = new Closers(say)
  try {
    const row = table('Submit and status')
    const yaml = `defaults: { user: nobody }\nhosts:\n  "n[00001-${HOST_COUNT}]": {}\n`
    const stack = await startBenchStack(closers, { yaml, knownHosts: '' })
    const submits: number[] = []
    const reads: number[] = []
    for (let i = 0; i < 15; i += 1) {
      const { ms, body } = await stack.timed('POST', '/v1/jobs', { targets: '@*', command: 'true' })
      submits.push(ms)
      const path = OPERATIONS.submit_job.output.parse(body).links.self
      for (let n = 0; n < 10; n += 1) reads.push((await stack.timed('GET', path)).ms)
    }
    row(`submit a job to ${HOST_COUNT} hosts (15 times)`, medianAndWorst(submits), '< 150 ms')
    row('read its status (150 times)', medianAndWorst(reads), '< 10 ms')
  } finally {
    await closers.close()
  }
}
