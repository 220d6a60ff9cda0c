/** Gathered output against a real Redis: who is grouped with whom, what is shown, what is said not to be. */
import type { GatheredOutput, OutputMask } from '@muster/contract'
import { cancelJob, gatherOutput, type Ledger } from '@muster/ledger'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { openTestLedger, submitTo } from '../../support/ledger/ledger.ts'
import { type Printed, printAndEnd } from '../../support/ledger/printed-run.ts'

type Options = { masks?: OutputMask[]; withDiff?: boolean; limitBytes?: number; groupsLimit?: number }

async function gather(ledger: Ledger, jobId: string, options: Options = {}): Promise<GatheredOutput> {
  const gathered = await gatherOutput(ledger, jobId, {
    limitBytes: 10_000,
    masks: [],
    withDiff: false,
    groupsLimit: 100,
    ...options,
  })
  if (gathered === undefined) throw new Error('there is no such job')
  return gathered
}

/** A job whose hosts have printed this, one after the other. */
async function jobOf(ledger: Ledger, printed: readonly Printed[], more = 0): Promise<string> {
  const jobId = await submitTo(ledger, printed.length + more, { concurrency: printed.length + more })
  for (const [i, some] of printed.entries()) await printAndEnd(ledger, jobId, i, some)
  return jobId
}

const named = ({ groups }: GatheredOutput) => groups.map(({ hosts, stdout }) => [hosts, stdout])

describe('groups without masks', () => {
  test('are hosts with equal output and the same end: the largest first, then that of the first host', async () => {
    const ledger = await openTestLedger()
    const jobId = await jobOf(ledger, [
      { stdout: 'b' },
      { stdout: 'a' },
      { stdout: 'c' },
      { stdout: 'a' },
      { stdout: 'a', exitCode: 1 },
      { stderr: 'a' },
      { stdout: 'a', exitCode: 2 },
    ])
    expect(named(await gather(ledger, jobId))).toEqual([
      ['h[1,3]', 'a'],
      ['h0', 'b'],
      ['h2', 'c'],
      ['h4', 'a'],
      ['h5', ''],
      ['h6', 'a'],
    ])
  })

  test('tell in words how they ended where it is the same for all, as with a health check', async () => {
    const ledger = await openTestLedger()
    const ill = (detail: string) => ({ end: { state: 'failed', reason: 'health_check', detail } }) as const
    const alike = await jobOf(ledger, [ill('exit code 7'), ill('exit code 7')])
    expect((await gather(ledger, alike)).groups).toMatchObject([{ hosts: 'h[0-1]', detail: 'exit code 7' }])
    const differing = await jobOf(ledger, [ill('exit code 7'), ill('exit code 8')])
    expect((await gather(ledger, differing)).groups).toMatchObject([{ hosts: 'h[0-1]', detail: null }])
  })

  test('list a host still running last, by itself, and hosts that printed nothing by their state', async () => {
    const ledger = await openTestLedger()
    const jobId = await submitTo(ledger, 6, { concurrency: 5 })
    await printAndEnd(ledger, jobId, 0, { stdout: 'some' }, true)
    await printAndEnd(ledger, jobId, 1, { stdout: 'some' }, true)
    await printAndEnd(ledger, jobId, 2, { stdout: 'some' })
    await printAndEnd(ledger, jobId, 3, {}, true)
    const gathered = await gather(ledger, jobId, { withDiff: true, masks: ['host'] })
    expect(gathered.groups.map(({ hosts, state, diff }) => [hosts, state, diff])).toEqual([
      ['h2', 'succeeded', null],
      ['h0', 'running', null],
      ['h1', 'running', null],
    ])
    expect(gathered.without_output.map(({ hosts, state }) => [hosts, state])).toEqual([
      ['h[4-5]', 'queued'],
      ['h3', 'running'],
    ])
  })

  test('that went wrong have half of the room, however small they are', async () => {
    const ledger = await openTestLedger()
    const well: Printed[] = ['a', 'b', 'c', 'd'].flatMap((stdout) => [{ stdout }, { stdout }])
    const ill: Printed[] = ['e', 'f', 'g'].map((stdout) => ({ stdout, exitCode: 1 }))
    const jobId = await jobOf(ledger, [...well, ...ill])
    const gathered = await gather(ledger, jobId, { groupsLimit: 4 })
    expect(named(gathered).map(([, stdout]) => stdout)).toEqual(['a', 'b', 'e', 'f'])
    expect([gathered.omitted_groups, gathered.omitted_hosts]).toEqual([3, 5])
  })

  test('that are too many are reported by state, and the one to compare with is among those that are not', async () => {
    const ledger = await openTestLedger()
    const odd: Printed[] = Array.from({ length: 102 }, (_, i) => ({ stdout: `${i}`, exitCode: 2 }))
    const jobId = await jobOf(ledger, [...odd, { stdout: 'well' }])
    const gathered = await gather(ledger, jobId)
    expect(gathered.groups).toHaveLength(100)
    expect(gathered.groups.filter((group) => group.is_reference)).toMatchObject([{ hosts: 'h102', exit_code: 0 }])
    expect([gathered.omitted_groups, gathered.omitted_hosts]).toEqual([3, 3])
    expect(gathered.omitted).toMatchObject([{ state: 'failed', exit_code: 2, hosts: 'h[99-101]', count: 3 }])
  })
})

describe('masks', () => {
  test('join what differs only in them, and show what the first host printed', async () => {
    const ledger = await openTestLedger()
    const jobId = await jobOf(ledger, [
      { stdout: 'h0 up since 2026-11-25 01:33:37' },
      { stdout: 'h1 up since 2026-11-24 11:03:07' },
      { stdout: 'h2 down since 2026-11-25 01:33:37' },
      { stdout: 'h1 up since 2026-11-24 11:03:07' },
    ])
    expect((await gather(ledger, jobId, { masks: ['time'] })).groups).toHaveLength(3)
    const { groups, uncompared_hosts: uncompared } = await gather(ledger, jobId, { masks: ['time', 'host'] })
    expect(groups).toMatchObject([
      { hosts: 'h[0-1,3]', count: 3, distinct_outputs: 2, stdout: 'h0 up since 2026-11-25 01:33:37' },
      { hosts: 'h2', count: 1, distinct_outputs: 1 },
    ])
    expect(uncompared).toBe(0)
  })

  test('know the name of any host of a group, whichever of them printed it first', async () => {
    const ledger = await openTestLedger()
    const jobId = await jobOf(ledger, [{ stdout: 'h1 up' }, { stdout: 'h1 up' }, { stdout: 'h2 up' }])
    const { groups } = await gather(ledger, jobId, { masks: ['host'] })
    expect(groups).toMatchObject([{ hosts: 'h[0-2]', distinct_outputs: 2 }])
  })

  test('tell the two streams apart, and a mark that a host printed from a mark', async () => {
    const ledger = await openTestLedger()
    const jobId = await jobOf(ledger, [
      { stdout: 'a7', stderr: 'b' },
      { stdout: 'a', stderr: '7b' },
      { stdout: 'n ‹number›' },
      { stdout: 'n 7' },
    ])
    expect((await gather(ledger, jobId, { masks: ['number'] })).groups).toHaveLength(4)
  })

  test('do not touch what was not kept, is too long, or may not be all; how many hosts that are is shown', async () => {
    const ledger = await openTestLedger()
    const long = 'x'.repeat(64 * 1024)
    const jobId = await jobOf(ledger, [
      { stdout: '1', omittedBytes: 5 },
      { stdout: '2', omittedBytes: 5 },
      { stdout: `${long}1` },
      { stdout: `${long}2` },
      { stdout: '1', complete: false },
      { stdout: '2', complete: false },
      { stdout: '1' },
      { stdout: '2' },
      { stdout: `${long}1` },
    ])
    const gathered = await gather(ledger, jobId, { masks: ['number'] })
    expect(gathered.groups.map(({ hosts }) => hosts)).toEqual(['h[2,8]', 'h[6-7]', 'h0', 'h1', 'h3', 'h4', 'h5'])
    expect(gathered.uncompared_hosts).toBe(7)
  })

  test('tell outputs apart that are no text, byte for byte', async () => {
    const ledger = await openTestLedger()
    const jobId = await jobOf(ledger, [{ stdout: Buffer.from([0xfe, 0x31]) }, { stdout: Buffer.from([0xff, 0x31]) }])
    expect((await gather(ledger, jobId, { masks: ['number'] })).groups).toHaveLength(2)
  })
})

describe('a diff', () => {
  test('is made against the lowest exit code, however few hosts have it, then the largest group', async () => {
    const ledger = await openTestLedger()
    const jobId = await jobOf(ledger, [
      { stdout: 'a\nb\n', exitCode: 3 },
      { stdout: 'a\nb\n', exitCode: 3 },
      { stdout: 'a\nc\n', stderr: 'oh\n' },
      { stdout: 'a\nb\n' },
      { stdout: 'a\nb\n' },
    ])
    const { groups } = await gather(ledger, jobId, { withDiff: true })
    expect(groups.map(({ hosts, is_reference, diff }) => [hosts, is_reference, diff])).toEqual([
      ['h[0-1]', false, ''],
      ['h[3-4]', true, null],
      [
        'h2',
        false,
        '--- stdout of the reference\n+++ stdout here\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n' +
          '--- stderr of the reference\n+++ stderr here\n@@ -0,0 +1,1 @@\n+oh\n',
      ],
    ])
    expect((await gather(ledger, jobId)).groups.map(({ diff }) => diff)).toEqual([null, null, null])
  })

  test('is of the masked text when there are masks', async () => {
    const ledger = await openTestLedger()
    const printed = (i: number, word: string) => ({ stdout: `h${i} at 10:0${i}\n${word}\n` })
    const jobId = await jobOf(ledger, [printed(0, 'well'), printed(1, 'well'), printed(2, 'ill')])
    const { groups } = await gather(ledger, jobId, { withDiff: true, masks: ['host', 'time'] })
    expect(groups.map(({ diff }) => diff)).toEqual([
      null,
      '--- stdout of the reference\n+++ stdout here\n@@ -1,2 +1,2 @@\n ‹host› at ‹time›\n-well\n+ill\n',
    ])
  })

  test('says when too much differs, when only a part was compared, and when no text differs', async () => {
    const ledger = await openTestLedger()
    const lines = (word: string) => Array.from({ length: 2_000 }, (_, i) => `${word} ${i}\n`).join('')
    const long = 'same line\n'.repeat(7_000)
    const jobId = await jobOf(ledger, [
      { stdout: lines('one') },
      { stdout: lines('other'), exitCode: 1 },
      { stdout: `${lines('one')}${long}`, exitCode: 2 },
    ])
    const { groups } = await gather(ledger, jobId, { withDiff: true })
    expect(groups[1]?.diff).toContain('\\ Too different to be compared line by line.\n')
    expect(groups[2]?.diff).toContain('\\ Only the beginning of stdout was compared, at most 64 KiB.\n')
    // The last line that was compared is whole: half of it would seem to differ.
    const cut = await jobOf(ledger, [{ stdout: `aa\n${long}` }, { stdout: `bb bb\n${long}`, exitCode: 1 }])
    const [, other] = (await gather(ledger, cut, { withDiff: true })).groups
    expect(other?.diff?.match(/^@@/gm)).toHaveLength(1)
    const binary = await jobOf(ledger, [{ stdout: Buffer.from([0xfe]) }, { stdout: Buffer.from([0xff]) }])
    const told = await gather(ledger, binary, { withDiff: true })
    expect(told.groups.map(({ diff }) => diff)).toEqual([null, '\\ They differ in bytes that are not text.\n'])
  })

  test('is cut between lines when it is long, and says so', async () => {
    const ledger = await openTestLedger()
    const jobId = await jobOf(ledger, [{ stdout: 'a\n' }, { stdout: `${'y'.repeat(100)}\n`.repeat(300), exitCode: 1 }])
    const { groups } = await gather(ledger, jobId, { withDiff: true })
    expect(groups[1]?.diff).toMatch(/\+y{100}\n\\ The diff is longer than this\.\n$/)
    expect(groups[1]?.diff?.length).toBeLessThan(16_500)
  })
})

test('of a job that was cancelled every host is listed, also those that were never released', async () => {
  const ledger = await openTestLedger()
  const jobId = await submitTo(ledger, 700, { concurrency: 3 })
  await printAndEnd(ledger, jobId, 0, { stdout: 'x' })
  await cancelJob(ledger, jobId)
  const { groups, without_output: without } = await gather(ledger, jobId)
  expect(groups).toMatchObject([{ hosts: 'h0' }])
  expect(without).toMatchObject([{ state: 'cancelled', reason: 'cancelled_by_user', hosts: 'h[1-699]', count: 699 }])
})

test('every host is in one list, and no group mixes ends or outputs that differ in more than the masks', async () => {
  const ledger = await openTestLedger()
  const text = fc.constantFrom('', 'up 1', 'up 2', 'down 1', 'down 10.0.0.1', 'down 10.0.0.2', 'h0', 'h1')
  const printed = fc.record({ stdout: text, stderr: text, exitCode: fc.constantFrom(0, 0, 1), complete: fc.boolean() })
  const masks = fc.subarray<OutputMask>(['host', 'address', 'number'])
  await fc.assert(
    fc.asyncProperty(fc.array(printed, { minLength: 1, maxLength: 8 }), masks, async (rows, chosen) => {
      const jobId = await jobOf(ledger, rows, 2)
      const gathered = await gather(ledger, jobId, { masks: chosen })
      const lists = [...gathered.groups, ...gathered.without_output, ...gathered.omitted]
      const indexesOf = (hosts: string) => unfold(hosts)
      expect(lists.flatMap(({ hosts }) => indexesOf(hosts)).toSorted((a, b) => a - b)).toEqual(
        Array.from({ length: rows.length + 2 }, (_, i) => i),
      )
      expect(lists.reduce((sum, { count }) => sum + count, 0)).toBe(gathered.total)
      for (const group of gathered.groups) {
        const members = indexesOf(group.hosts).flatMap((i) => rows[i] ?? [])
        expect(members).toHaveLength(group.count)
        const skeletons = members.map((row) => JSON.stringify([row.exitCode, row.complete, skeletonOf(row, chosen)]))
        expect(new Set(skeletons).size).toBe(1)
        const outputs = new Set(members.map((row) => JSON.stringify([row.stdout, row.stderr])))
        expect(outputs.size).toBe(group.distinct_outputs)
      }
    }),
    { numRuns: 40 },
  )
}, 60_000)

/** What is left of an output when all that the masks could know is taken out: coarser than any mask. */
function skeletonOf({ stdout, stderr }: { stdout: string; stderr: string }, masks: readonly OutputMask[]): string[] {
  return masks.length === 0 ? [stdout, stderr] : [stdout, stderr].map((text) => text.replace(/h?[\d.]+/g, '#'))
}

function unfold(hosts: string): number[] {
  const list = /^h\[(.*)\]$/.exec(hosts)?.[1] ?? hosts.slice(1)
  return list.split(',').flatMap((part) => {
    const [from = 0, to = from] = part.split('-').map(Number)
    return Array.from({ length: to - from + 1 }, (_, i) => from + i)
  })
}
