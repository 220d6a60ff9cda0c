/** One job on a hundred thousand hosts: how long its submit, its status and its cancel take while workers are at it. */
import { OPERATIONS } from '@muster/contract'
import { Closers } from '@muster/runtime'
import { startBenchStack } from './stack.ts'
import { medianAndWorst, say, table } from './table.ts'

const RANGES = 10
const ROUNDS = 5
const READS = 20

/** Prints its part of the table. */
export async function benchLargeJob(): Promise<void> {
  const closers = new Closers(say)
  try {
    const row = table(`One job of ${RANGES * 10_000} runs`)
    const ranges = Array.from({ length: RANGES }, (_, i) => `  "${String.fromCharCode(97 + i)}[00001-10000]": {}\n`)
    const yaml = `defaults: { user: nobody }\nhosts:\n${ranges.join('')}`
    const stack = await startBenchStack(closers, { yaml, knownHosts: '' })
    await stack.startWorker({ kind: 'noop' })
    const times: Record<'submit' | 'status' | 'page' | 'cancel', number[]> = {
      submit: [],
      status: [],
      page: [],
      cancel: [],
    }
    for (let round = 0; round < ROUNDS; round += 1) {
      const request = { targets: '@*', command: 'true', concurrency: 100 }
      const { ms, body } = await stack.timed('POST', '/v1/jobs', request)
      const { links, total } = OPERATIONS.submit_job.output.parse(body)
      if (total !== RANGES * 10_000) throw new Error(`the job has ${total} runs`)
      times.submit.push(ms)
      for (let read = 0; read < READS; read += 1) times.status.push((await stack.timed('GET', links.self)).ms)
      for (let read = 0; read < READS; read += 1)
        times.page.push((await stack.timed('GET', `${links.runs}?limit=100`)).ms)
      times.cancel.push((await stack.timed('POST', `${links.self}/cancel`, {})).ms)
    }
    row(`submit (${ROUNDS} times)`, medianAndWorst(times.submit), '< 1000 ms')
    row(`status, while runs end (${ROUNDS * READS} times)`, medianAndWorst(times.status), '< 20 ms')
    row(`a page of 100 runs (${ROUNDS * READS} times)`, medianAndWorst(times.page))
    row(`cancel (${ROUNDS} times)`, medianAndWorst(times.cancel), '< 100 ms')
  } finally {
    await closers.close()
  }
}
