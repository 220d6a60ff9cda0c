/** What belongs to a command's output, wherever the marks around it are and however the bytes are cut. */

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { findStart, type StartMark } from '../../../libs/ssh/src/output/start-marks.ts'

const NONCE = '0123456789abcdef0123456789abcdef'
const hello = (tag: number) => `hello-${NONCE}:77:group:setsid:in=bash:${tag}\n`
const start = (tag: number) => `start-${NONCE}:77:78:77 (a) b) S${' 1'.repeat(18)} 4711 0 0:${tag}\n`
const MARK: StartMark = { pid: 77, watchdogPid: 78, began: '4711' }
/** What a stream may hold that looks like a mark. */
const noise = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom(
    'hello-',
    `hello-${NONCE}`,
    `start-${NONCE}:`,
    `start-${NONCE}:x:1\n`,
    `start-${NONCE.slice(1)}:7::1\n`,
  ),
)
const cuts = fc.array(fc.nat(1_000), { maxLength: 12 })

function pieces(text: string, at: number[]): Buffer[] {
  const all = Buffer.from(text)
  const points = [0, ...at.filter((cut) => cut < all.length).sort((a, b) => a - b), all.length]
  return points.slice(1).map((end, i) => all.subarray(points[i], end))
}

function read(stdout: Buffer[], stderr: Buffer[]) {
  const found: StartMark[] = []
  const marks = findStart(NONCE, (mark) => found.push(mark))
  const all = (stream: 'stdout' | 'stderr', given: Buffer[]) =>
    Buffer.concat([...given.map((piece) => Buffer.from(marks[stream].pass(piece))), marks[stream].rest()]).toString()
  return { out: all('stdout', stdout), err: all('stderr', stderr), found }
}
const bytes = (text: string) => Buffer.from(text).toString()

test('what start-up files print is kept, and what comes between hello and start mark is not', () => {
  fc.assert(
    fc.property(noise, noise, noise, cuts, cuts, (before, between, after, one, two) => {
      const text = (tag: number) => `${before}${hello(tag)}${between}\n${start(tag)}${after}`
      const { out, err, found } = read(pieces(text(1), one), pieces(text(2), two))
      expect(found).toEqual([MARK])
      expect([out, err]).toEqual([bytes(before + after), bytes(before + after)])
    }),
    { numRuns: 500 },
  )
})

test('streams that are merged hold the marks of both', () => {
  fc.assert(
    fc.property(noise, noise, cuts, (before, after, at) => {
      const text = `${before}${hello(1)}${hello(2)}+ export A=b\n${start(1)}${start(2)}${after}`
      expect(read(pieces(text, at), [])).toEqual({ out: bytes(before + after), err: '', found: [MARK] })
    }),
  )
})

test('a stream that is dead is not waited for', () => {
  const { out, found } = read([Buffer.from(`${hello(1)}${start(1)}one\n`), Buffer.from('two\n')], [])
  expect({ out, found }).toEqual({ out: 'one\ntwo\n', found: [MARK] })
})

test('a relay that brings the streams together late leaves no mark in the output', () => {
  const text = `${hello(1)}${start(1)}one\n${hello(2)}${start(2)}two\n`
  expect(read([Buffer.from(text)], [])).toEqual({ out: 'one\ntwo\n', err: '', found: [MARK] })
})

test('a terminal in between ends lines in another way', () => {
  const text = `${hello(1)}${hello(2)}${start(1)}${start(2)}`.replaceAll('\n', '\r\n')
  expect(read([Buffer.from(`${text}one\r\n`)], [])).toEqual({ out: 'one\r\n', err: '', found: [MARK] })
})

test('without a start mark all of it is reported, as it may say why', () => {
  const { out, err, found } = read([Buffer.from(`banner\n${hello(1)}`)], [Buffer.from(`${hello(2)}cd: no\n`)])
  expect({ out, err, found }).toEqual({ out: 'banner\n', err: 'cd: no\n', found: [] })
})

test('output that only looks like the beginning of a mark is passed on as soon as that is known', () => {
  const marks = findStart(NONCE, () => {})
  expect(`${marks.stdout.pass(Buffer.from('password: hell'))}`).toBe('password: ')
  expect(`${marks.stdout.pass(Buffer.from('o\n'))}`).toBe('hello\n')
})

test('that the host has not got the command counts only as a line of its own', () => {
  const never = (text: string) => {
    let isSaid = false
    const onNever = () => {
      isSaid = true
    }
    const marks = findStart(NONCE, () => {}, { onNever })
    const out = `${marks.stdout.pass(Buffer.from(`${hello(1)}${text}`))}${marks.stdout.rest()}`
    return { isSaid, out }
  }
  expect(never(`never-${NONCE}:0:1\n`)).toEqual({ isSaid: true, out: '' })
  const repeated = `+ echo never-${NONCE}:0:1; echo never-${NONCE}:0:2 >&2\n`
  expect(never(repeated)).toEqual({ isSaid: false, out: repeated })
})
