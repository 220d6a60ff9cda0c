/** Output in the ledger that comes late, overtakes or is never whole, and how it is read. */
import { appendOutput, gatherOutput, readOutput } from '@muster/ledger'
import { expect, test } from 'vitest'
import { sweep } from '../../../libs/ledger/src/clockwork/sweep.ts'
import { start } from '../../support/ledger/held-run.ts'
import { openTestLedger, submitTo } from '../../support/ledger/ledger.ts'

const AT_ONCE = { ticketGraceMs: 0, suspectMs: 0, claimNamedMs: 3_600_000 }

test('what a lost run has printed is shown with all output, and nobody says that it is all', async () => {
  const ledger = await openTestLedger()
  const jobId = await submitTo(ledger, 3)
  for (const index of [0, 1]) {
    const claimed = await start(ledger, jobId, index)
    const bytes = Buffer.from(`printed by ${index}`)
    await appendOutput(ledger, claimed, { stream: 'stdout', side: 'head', offset: 0, bytes })
  }
  await start(ledger, jobId, 2)
  await ledger.redis.del(ledger.keys.worker('w1'))
  await sweep(ledger, AT_ONCE)
  const gathered = await gatherOutput(ledger, jobId, { limitBytes: 100, masks: [], withDiff: false, groupsLimit: 100 })
  const lost = { state: 'lost', count: 1, output_complete: false }
  expect(gathered?.groups).toMatchObject([
    { ...lost, hosts: 'h0', stdout: 'printed by 0' },
    { ...lost, hosts: 'h1', stdout: 'printed by 1' },
  ])
  expect(gathered?.without_output).toMatchObject([{ state: 'lost', hosts: 'h2', count: 1 }])
})

test('a tail that overtakes the end of its head stands where it belongs', async () => {
  const ledger = await openTestLedger()
  const jobId = await submitTo(ledger, 1)
  const claimed = await start(ledger, jobId, 0)
  const stream = 'stdout' as const
  const head = (offset: number) => ({ stream, side: 'head' as const, offset, bytes: Buffer.alloc(100, 'h') })
  await appendOutput(ledger, claimed, head(0))
  await appendOutput(ledger, claimed, { stream, side: 'tail', offset: 250, bytes: Buffer.from('tail') })
  await appendOutput(ledger, claimed, head(100))
  await appendOutput(ledger, claimed, head(100))
  const query = { stream, offset: 200, limitBytes: 10, encoding: 'utf8' } as const
  expect(await readOutput(ledger, jobId, 'h0', query)).toMatchObject({ offset: 250, data: 'tail', omitted_bytes: 50 })
})

test('the end of a long stream can be read while it is written, and says what lies before it', async () => {
  const ledger = await openTestLedger()
  const jobId = await submitTo(ledger, 1)
  const claimed = await start(ledger, jobId, 0)
  const stream = 'stdout' as const
  await appendOutput(ledger, claimed, { stream, side: 'head', offset: 0, bytes: Buffer.from('0123456789') })
  const read = (offset: number) =>
    readOutput(ledger, jobId, 'h0', { stream, offset, limitBytes: 100, encoding: 'utf8' })
  for (const [offset, text] of [
    [50, 'fifty'],
    [80, 'eighty'],
  ] as const) {
    await appendOutput(ledger, claimed, { stream, side: 'tail', offset, bytes: Buffer.from(text) })
    const page = { offset, data: text, omitted_bytes: offset - 10, total_bytes: offset + text.length, eof: false }
    expect(await read(10)).toMatchObject(page)
  }
  expect(await read(0)).toMatchObject({ data: '0123456789', next_offset: 10, omitted_bytes: 0 })
})
