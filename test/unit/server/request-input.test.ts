/** What is refused, and in which words: the field, what was given, what is accepted. */
import { MusterError, OPERATIONS } from '@muster/contract'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { gatherFields, parseInput, refuseUnknown } from '../../../apps/server/src/operations/call/request-input.ts'

const submit = OPERATIONS.submit_job.input
const getJob = OPERATIONS.get_job.input
const JOB_ID = `job_${'a'.repeat(26)}`

/** So many fields as any body may have. */
function many(field: (i: number) => readonly [string, unknown], count = 3_000): Record<string, unknown> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => field(i)))
}

function refusalOf(act: () => unknown): MusterError {
  try {
    act()
  } catch (error) {
    if (error instanceof MusterError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

describe('the input of an operation', () => {
  test('is given its defaults', () => {
    expect(parseInput(submit, { command: 'uptime', targets: '@web' })).toMatchObject({ wait_s: 0, concurrency: 50 })
  })

  test.each([
    ['an unknown field, with the nearest known one', { comand: 'x' }, 'comand', /comand: .*did you mean "command"/],
    [
      'a field that is missing, with what it is for',
      { command: 'x' },
      'targets',
      /targets: is missing; expected string/,
    ],
    [
      'a number out of range, with the limit and what was given',
      { command: 'x', targets: 'a', wait_s: 99 },
      'wait_s',
      /wait_s: .*<=45; received 99/,
    ],
    ['a value of the wrong type', { command: 'x', targets: 7 }, 'targets', /targets: expected string; received 7/],
    [
      'two forms of command',
      { command: 'x', argv: ['y'], targets: 'a' },
      'command',
      /give exactly one of command, argv and script/,
    ],
    [
      'a percentage that is none',
      { command: 'x', targets: 'a', concurrency: '120%' },
      'concurrency',
      /concurrency: expected a whole number from 1 to 10000, or a percentage from "1%" to "100%"; received "120%"/,
    ],
    [
      'a concurrency of another type',
      { command: 'x', targets: 'a', concurrency: [] },
      'concurrency',
      /concurrency: expected a whole number from 1 to 10000, or a percentage from "1%" to "100%"; received \[\]/,
    ],
    [
      'an unknown field within another',
      { command: 'x', targets: 'a', health_check: { command: 'y', timeout: 1 } },
      'health_check.timeout',
      /health_check\.timeout: there is no such field; did you mean "timeout_s"/,
    ],
    [
      'a number out of range within a field that is never repeated, without the number',
      { command: 'x', targets: 'a', health_check: { command: 'y', timeout_s: 9e9 } },
      'health_check.timeout_s',
      /health_check\.timeout_s: .*<=3600; received number$/,
    ],
    [
      'a bad variable name',
      { command: 'x', targets: 'a', env: { '1A': 'x' } },
      'env.1A',
      /env\.1A: a variable name has letters/,
    ],
  ])('is refused for %s', (_what, given, field, message) => {
    const { code, details, message: text } = refusalOf(() => parseInput(submit, given))
    expect(code).toBe('invalid_request')
    expect(details.field).toBe(field)
    expect(text).toMatch(message)
  })

  test('is refused once for all problems together', () => {
    const { message } = refusalOf(() => parseInput(submit, { comand: 'x', wait_s: -1, kill_grace_s: 'soon' }))
    for (const field of ['comand', 'targets', 'wait_s', 'kill_grace_s']) expect(message).toContain(`${field}: `)
  })

  test('never has the values of private fields repeated', () => {
    const secret = 'hunter2\0'
    const given = { command: secret, stdin: 7, env: { TOKEN: secret, '2X': 'hunter2' }, argv: [secret] }
    expect(refusalOf(() => parseInput(submit, given)).message).not.toContain('hunter2')
    for (const check of ['hunter2', ['hunter2'], { command: ['hunter2'] }, { command: secret }]) {
      const refused = refusalOf(() => parseInput(submit, { command: 'x', targets: 'a', health_check: check }))
      expect(refused.message).toMatch(/^health_check/)
      expect(refused.message).not.toContain('hunter2')
    }
  })

  test('with a name from the prototype of objects is refused like any other unknown field', () => {
    const given: unknown = JSON.parse('{"command":"x","targets":"a","__proto__":{"wait_s":9},"toString":1}')
    const fields = gatherFields(submit.shape, { method: 'POST', path: {}, query: {}, body: given })
    expect(refusalOf(() => parseInput(submit, fields)).message).toMatch(/__proto__: .*toString: /)
  })

  test.each([
    ['unknown fields', many((i) => [`comman${i}`, 1])],
    ['unknown fields of another', { health_check: { command: 'x', ...many((i) => [`f${i}`, 1]) } }],
    ['wrong variables', { env: many((i) => [`${i}${'x'.repeat(1_000)}`, '']) }],
    ['wrong elements', { retry_on: Object.values(many((i) => [`${i}`, -i])) }],
    ['long names', many((i) => [`${i}${'x'.repeat(10_000)}`, 1])],
    ['long values', { title: 'x'.repeat(1_000_000), targets: ['y'.repeat(1_000_000)], order: 'z'.repeat(1_000_000) }],
    ['elements where none are taken', { cwd: Object.values(many((i) => [`${i}`, 'x'.repeat(1_000)])) }],
  ])('with thousands of %s is refused in a few words, which count the rest', (_what, given) => {
    const { message, details } = refusalOf(() => parseInput(submit, { command: 'x', ...given }))
    expect(message.length).toBeLessThan(12_000)
    expect(message.split('. ').length).toBeLessThanOrEqual(21 * 2)
    expect(details.field?.length).toBeLessThan(100)
  })

  test('has all its troubles counted and twenty named', () => {
    const given = { ...many((i) => [`f${i}`, 1]), health_check: many((i) => [`g${i}`, 1]) }
    const { message } = refusalOf(() => parseInput(submit, given))
    expect(message).toMatch(/^f0: .*\. f19: .*\. And 5982 more problems$/)
  })

  test('costs the same to refuse for twenty unknown fields as for three thousand', () => {
    /** How often the names of the fields are looked at: for each comparison with a similar name, and to list them. */
    const looksFor = (unknown: number) => {
      let looks = 0
      const known = new Proxy(Object.keys(submit.shape), {
        get: (names, at) => {
          looks += 1
          return Reflect.get(names, at)
        },
      })
      refusalOf(() =>
        refuseUnknown(
          many((i) => [`comman${i}`, 1], unknown),
          known,
        ),
      )
      return looks
    }
    expect(looksFor(3_000)).toBe(looksFor(20))
  })

  test('that is anything at all is either taken or refused, never a fault', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (given) => {
        try {
          parseInput(submit, given)
        } catch (error) {
          expect(error).toBeInstanceOf(MusterError)
        }
      }),
    )
  })
})

describe('the fields of a REST call', () => {
  const get = (query: Record<string, unknown>) =>
    gatherFields(getJob.shape, { method: 'GET', path: { job_id: JOB_ID }, query, body: undefined })

  test('come from path and query, numbers as numbers', () => {
    expect(get({ wait_s: '2.5', until: 'done' })).toEqual({ job_id: JOB_ID, wait_s: 2.5, until: 'done' })
  })

  test('keep text that is no number, for the schema to refuse', () => {
    expect(refusalOf(() => parseInput(getJob, get({ wait_s: '5s' }))).message).toMatch(/wait_s: .*received "5s"/)
  })

  test('are refused when one is given twice', () => {
    expect(refusalOf(() => get({ wait_s: ['1', '2'] })).details.field).toBe('wait_s')
    expect(refusalOf(() => get({ job_id: JOB_ID })).message).toContain('given by the path')
  })

  test('make a list of "a,b", of a field that is named again, and of both', () => {
    const gather = OPERATIONS.gather_output.input
    const masks = (mask: unknown) => {
      const from = { method: 'GET', path: { job_id: JOB_ID }, query: { mask }, body: undefined } as const
      return parseInput(gather, gatherFields(gather.shape, from)).mask
    }
    expect(masks('host,time')).toEqual(['host', 'time'])
    expect(masks(['host', 'time'])).toEqual(['host', 'time'])
    expect(masks(['host,pid', 'time'])).toEqual(['host', 'pid', 'time'])
    expect(masks('')).toEqual([])
    expect(refusalOf(() => masks('host,hots')).message).toMatch(/^mask\.1: .*"host".*received "hots"/)
  })

  test('of a POST come from its body only', () => {
    const post = (query: Record<string, unknown>, body: unknown) =>
      gatherFields(submit.shape, { method: 'POST', path: {}, query, body })
    expect(post({}, undefined)).toEqual({})
    expect(refusalOf(() => post({ wait_s: '1' }, {})).message).toContain('in the JSON body')
    expect(refusalOf(() => post({}, ['x'])).message).toContain('the body is an array')
    expect(refusalOf(() => post({}, 'x')).message).toContain('the body is a string')
  })
})
