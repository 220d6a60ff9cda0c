/** Reads from the API all that Muster says of a job: the job, its runs, and every byte of their output. */
import { OPERATIONS, type Run } from '@muster/contract'
import type { Caller } from '../caller.ts'
import type { SentJob } from '../drive.ts'
import type { JobReading, RunReading } from './checker.ts'
import type { StreamReading } from './output-check.ts'

const READS_AT_ONCE = 8
const PAGE_BYTES = 256 * 1024

/** Reads one job. */
export async function readJob(caller: Caller, { planned, jobIds }: SentJob): Promise<JobReading> {
  const jobId = jobIds.at(0)
  const answer = jobId === undefined ? undefined : await caller.ask('GET', `/v1/jobs/${jobId}`)
  if (jobId === undefined || answer === undefined) return { planned, jobIds, report: undefined, runs: [] }
  const report = OPERATIONS.get_job.output.parse(answer)
  const waiting: Run[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const query: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`
    const page = OPERATIONS.list_runs.output.parse(await caller.ask('GET', `/v1/jobs/${jobId}/runs?limit=1000${query}`))
    waiting.push(...page.runs)
    cursor = page.next_cursor
  }
  const runs: RunReading[] = []
  const read = async () => {
    for (let run = waiting.shift(); run !== undefined; run = waiting.shift()) {
      const stdout = await readStream(caller, run, 'stdout')
      runs.push({ run, output: { stdout, stderr: await readStream(caller, run, 'stderr') } })
    }
  }
  await Promise.all(Array.from({ length: READS_AT_ONCE }, read))
  return { planned, jobIds, report, runs }
}

async function readStream(caller: Caller, run: Run, stream: 'stdout' | 'stderr'): Promise<StreamReading> {
  const { bytes, omitted_bytes: omittedBytes, sha256 } = run[stream]
  const pieces: { offset: number; data: Buffer }[] = []
  for (let offset = 0; offset < bytes; ) {
    const query = `stream=${stream}&offset=${offset}&limit_bytes=${PAGE_BYTES}&encoding=base64`
    const page = OPERATIONS.read_output.output.parse(
      await caller.ask('GET', `/v1/jobs/${run.job_id}/runs/${run.host}/output?${query}`),
    )
    const data = Buffer.from(page.data, 'base64')
    if (data.length > 0) pieces.push({ offset: page.offset, data })
    if (page.next_offset <= offset) break
    offset = page.next_offset
  }
  return { bytes, omittedBytes, sha256, pieces }
}
