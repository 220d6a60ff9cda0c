/** Events as text: how they are written, that none is asked for ahead of its reader, and what silence looks like. */
import { Job, type JobEvent, OutputPage } from '@muster/contract'
import { describe, expect, test } from 'vitest'
import { blocksOf } from '../../../apps/server/src/rest/event-stream.ts'
import { JOB, JOB_ID } from '../../support/ssh/scripted-server.ts'

const page = OutputPage.parse({
  job_id: JOB_ID,
  host: 'web01',
  stream: 'stdout',
  offset: 0,
  next_offset: 12,
  omitted_bytes: 0,
  total_bytes: 12,
  encoding: 'utf8',
  data: 'a\n\ndata: b\r\n',
  started_at: '2026-01-01T00:00:00.000Z',
  unverified: false,
  eof: false,
})
const output: JobEvent = { event: 'output', data: page }
const job: JobEvent = {
  event: 'job',
  data: Job.parse({ ...JOB, state: 'queued', title: 'a\nb', targets: 'x' }),
}
const quiet = { heartbeatMs: 60_000, onFault: () => {} }

async function* sourceOf(events: readonly JobEvent[], told: { asked: number; closed: boolean }) {
  try {
    for (const event of events) {
      told.asked += 1
      yield event
    }
  } finally {
    told.closed = true
  }
}

describe('a stream of events', () => {
  test('is one block each, with the offset to go on from as its ID, and no text breaks out of its line', async () => {
    const blocks: string[] = []
    const told = { asked: 0, closed: false }
    for await (const block of blocksOf(sourceOf([job, output], told), quiet)) blocks.push(block)
    expect(blocks).toEqual([
      'retry: 1000\n\n',
      `event: job\ndata: ${JSON.stringify(job.data)}\n\n`,
      `event: output\nid: 1767225600000-12\ndata: ${JSON.stringify(page)}\n\n`,
    ])
    for (const block of blocks) expect(block.trimEnd().split('\n').length).toBeLessThanOrEqual(3)
  })

  test('asks for no event before the last was taken, and closes its source when its reader leaves', async () => {
    const told = { asked: 0, closed: false }
    const blocks = blocksOf(
      sourceOf(
        Array.from({ length: 100 }, () => output),
        told,
      ),
      quiet,
    )
    await blocks.next()
    expect(told.asked).toBe(0)
    await blocks.next()
    await blocks.next()
    expect(told.asked).toBe(2)
    await blocks.return(undefined)
    expect(told).toEqual({ asked: 2, closed: true })
  })

  test('says something while there is nothing to say, and loses no event by it', async () => {
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    async function* late() {
      await held
      yield output
    }
    const blocks = blocksOf(late(), { ...quiet, heartbeatMs: 1 })
    await blocks.next()
    expect((await blocks.next()).value).toBe(': nothing new\n\n')
    expect((await blocks.next()).value).toBe(': nothing new\n\n')
    release()
    const rest: string[] = []
    for await (const block of blocks) if (!block.startsWith(':')) rest.push(block)
    expect(rest).toHaveLength(1)
    expect(rest[0]).toContain('id: 1767225600000-12')
  })

  test('is cut by a fault, which is reported', async () => {
    const faults: unknown[] = []
    async function* broken(): AsyncGenerator<JobEvent> {
      yield output
      throw new Error('away')
    }
    const blocks = blocksOf(broken(), { ...quiet, onFault: (error) => faults.push(error) })
    await blocks.next()
    await blocks.next()
    await expect(blocks.next()).rejects.toThrow('away')
    expect(faults).toHaveLength(1)
  })
})
