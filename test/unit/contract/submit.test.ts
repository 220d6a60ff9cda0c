/** What a request may say, and what a fault looks like to a caller. */
import { ERRORS, MusterError, Submit, toProblem } from '@muster/contract'
import { describe, expect, test } from 'vitest'

describe('a request to run a command', () => {
  test('needs no more than a command and targets', () => {
    expect(Submit.parse({ command: 'uptime', targets: '@web' })).toMatchObject({
      concurrency: 50,
      connect_timeout_s: 15,
      exec_timeout_s: 300,
      output_limit_bytes: 1_048_576,
    })
  })

  test.each([
    [{ targets: 'a' }, 'exactly one of command, argv and script'],
    [{ targets: 'a', command: 'x', argv: ['y'] }, 'exactly one of command, argv and script'],
    [{ targets: 'a', script: 'x', stdin: 'y' }, 'stdin cannot be given'],
    [{ targets: 'a', command: '' }, 'Too small'],
    [{ targets: 'a', command: 'a\0b' }, 'NUL'],
    [{ targets: 'a', argv: ['a', 'b\0'] }, 'NUL'],
    [{ targets: '', command: 'x' }, 'Too small'],
    [{ targets: 'a', command: 'x', concurrency: '101%' }, 'percentage'],
    [{ targets: 'a', command: 'x', concurrency: '0%' }, 'percentage'],
    [{ targets: 'a', command: 'x', concurrency: 0 }, 'from 1 to 10000'],
    [{ targets: 'a', command: 'x', env: { 'A-B': '1' } }, 'variable name'],
    [{ targets: 'a', command: 'x', wait_s: 46 }, 'Too big'],
    [{ targets: 'a', stdin: 'long', command: 'x' }, 'longer than'],
  ])('%j is refused: %s', (request, message) => {
    const long = 'stdin' in request && request.stdin === 'long' ? { ...request, stdin: 'x'.repeat(131_072) } : request
    expect(JSON.stringify(Submit.safeParse(long).error?.issues)).toContain(message)
  })
})

describe('a fault', () => {
  test('is told with its code, its status and what to do next', () => {
    const problem = toProblem(new MusterError('unknown_target', 'no host "wbe1"', { details: { nearest: ['web1'] } }))
    expect(problem).toMatchObject({ status: 422, code: 'unknown_target', detail: 'no host "wbe1"', nearest: ['web1'] })
    expect(problem.next).toBe(ERRORS.unknown_target.next)
  })

  test('of an unknown kind, or our own, is told without its text', () => {
    expect(JSON.stringify(toProblem(new Error('canary')))).not.toContain('canary')
    expect(JSON.stringify(toProblem(new MusterError('internal', 'canary')))).not.toContain('canary')
  })
})
