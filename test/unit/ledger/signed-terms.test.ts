/** What is signed of a job: which changes of its record are found, and until when an attempt may start. */
import { JobSpec } from '@muster/contract'
import { describe, expect, test } from 'vitest'
import { lastStartMs } from '../../../libs/ledger/src/job/last-start.ts'
import { hostDigests, jobTerms, SIGNED_FIELDS, whatDiffers } from '../../../libs/ledger/src/job/signed-work.ts'

const MINUTE_MS = 60_000
const specOf = (options: Record<string, unknown> = {}) => JobSpec.parse({ command: 'true', ...options })

describe('a record that was changed since is told from one that was not', () => {
  const texts = { spec: '{"command":"true"}', key_hosts: '["@web"]', script: 'echo\n', secrets: 'sealed' }
  const fields = Object.fromEntries(SIGNED_FIELDS.filter((name) => name !== 'force').map((name) => [name, '7']))
  const job = { jobId: 'job_a', spec: specOf(), hosts: ['a', 'b'], nowMs: 1_000, request: 'r' }
  const terms = jobTerms(job, { texts, fields: { ...fields, title: 'not signed' } })

  test('one that was not changed fits, also as bytes, and with fields that are not signed', () => {
    const { secrets: _secrets, ...readTexts } = texts
    const bytes = { ...readTexts, script: Buffer.from(texts.script) }
    expect(whatDiffers(terms, { texts: bytes, fields: { ...fields, title: 'other' } })).toBeUndefined()
  })

  test.each(Object.keys(fields))('%s: another value, and none', (name) => {
    expect(whatDiffers(terms, { texts, fields: { ...fields, [name]: '8' } })).toBe(`${name} ("8", and "7" was signed)`)
    expect(whatDiffers(terms, { texts, fields: { ...fields, [name]: undefined } })).toContain(`${name} (none, and`)
  })

  test('a field that was added', () => {
    expect(whatDiffers(terms, { texts, fields: { ...fields, force: 'all' } })).toBe(
      'force ("all", and none was signed)',
    )
  })

  test.each([
    ['spec', 'the command or an option of it'],
    ['key_hosts', 'the hosts that its API key may touch'],
    ['script', 'its script'],
  ])('the text %s: another, and none', (name, words) => {
    expect(whatDiffers(terms, { texts: { ...texts, [name]: 'x' }, fields })).toBe(words)
    const others = Object.fromEntries(Object.entries(texts).filter(([other]) => other !== name))
    expect(whatDiffers(terms, { texts: others, fields })).toBe(words)
  })

  test('a text that was added', () => {
    expect(whatDiffers(terms, { texts: { ...texts, stdin: 'x' }, fields })).toBe('its stdin')
  })
})

test('100,000 hosts have 391 digests, and each says which hosts stand where', () => {
  const hosts = Array.from({ length: 100_000 }, (_, i) => `web${i}`)
  const digests = hostDigests(hosts)
  expect(digests.length).toBe(391)
  const exchanged = hosts.with(300, 'web301').with(301, 'web300')
  const changed = hostDigests(exchanged).flatMap((digest, i) => (digest === digests[i] ? [] : [i]))
  expect(changed).toEqual([1])
})

describe('until when an attempt may start', () => {
  const startS = 600

  test('a job whose command may run once: its start deadline', () => {
    expect(lastStartMs(specOf({ start_deadline_s: startS, retries: 10 }), 5)).toBe(10 * MINUTE_MS)
  })

  test('one that may run again: as long as its attempts and the pauses before them', () => {
    const spec = specOf({ start_deadline_s: startS, retry_on: ['lost'], retries: 2, exec_timeout_s: 3_600 })
    const twoAttemptsMs = 2 * (60 + 30 + 10) * MINUTE_MS
    expect(lastStartMs(spec, 5)).toBeGreaterThan(10 * MINUTE_MS + twoAttemptsMs)
    expect(lastStartMs(spec, 5, 7_200)).toBe(lastStartMs(spec, 5) + 2 * 60 * MINUTE_MS)
  })

  test('batches: one after the other; behind manual gates only to the next', () => {
    const spec = { start_deadline_s: startS, batches: [1, 2], batch_pause_s: 60 }
    const [one, two] = [lastStartMs(specOf(spec), 3), lastStartMs(specOf(spec), 5)]
    expect(two - one).toBe(one - 11 * MINUTE_MS)
    expect(lastStartMs(specOf({ ...spec, gate: 'manual' }), 100_000)).toBe(11 * MINUTE_MS)
  })

  test('never after the time limit of the job', () => {
    expect(lastStartMs(specOf({ job_timeout_s: 5 }), 5)).toBe(5_000)
  })
})
