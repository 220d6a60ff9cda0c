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
    [{ targets: 'a', command: 'x', script: 'y' }, 'exactly one of command, argv and script'],
    [{ targets: 'a', argv: ['x'], script: 'y' }, 'exactly one of command, argv and script'],
    [{ targets: 'a', command: '' }, 'Too small'],
    [{ targets: 'a', command: 'a\0b' }, 'NUL'],
    [{ targets: 'a', argv: ['a', 'b\0'] }, 'NUL'],
    [{ targets: '', command: 'x' }, 'Too small'],
    [{ targets: 'a', command: 'x', sudo_password: 'y' }, 'a password for sudo was given, but not sudo or run_as'],
    [{ targets: 'a', command: 'x', sudo: true, sudo_password: 'y\n' }, 'not one line of at most 255 bytes'],
    [{ targets: 'a', command: 'x', sudo: true, sudo_password: 'é'.repeat(128) }, 'not one line of at most 255 bytes'],
    [{ targets: 'a', command: 'x', env: { A: '1' }, secret_env: { A: '2' } }, 'a variable is in env and in secret_env'],
    [{ targets: 'a', command: 'x', secret_env: { 'A-B': '1' } }, 'variable name'],
    [{ targets: 'a', command: 'x', stdin: 'y', secret_stdin: 'z' }, 'give either stdin or secret_stdin'],
    [{ targets: 'a', command: 'x', keep_secrets: true }, 'there are no secrets to keep'],
    [{ targets: 'a', command: 'x', secret_env: {}, keep_secrets: true }, 'there are no secrets to keep'],
    [{ targets: 'a', command: 'x', secret_stdin: 'é'.repeat(128 * 1024 + 1) }, 'longer than 262144 bytes'],
    [
      { targets: 'a', command: 'x', secret_env: { A: 'x'.repeat(100_000) }, secret_stdin: 'y'.repeat(170_000) },
      'longer than 262144 bytes',
    ],
    [{ targets: 'a', command: 'x', concurrency: '101%' }, 'percentage'],
    [{ targets: 'a', command: 'x', concurrency: '0%' }, 'percentage'],
    [{ targets: 'a', command: 'x', concurrency: 0 }, 'from 1 to 10000'],
    [{ targets: 'a', command: 'x', env: { 'A-B': '1' } }, 'variable name'],
    [{ targets: 'a', command: 'x', wait_s: 46 }, 'Too big'],
    [{ targets: 'a', command: 'x', script_args: ['y'] }, 'without a script; those of a program belong in argv'],
    [{ targets: 'a', argv: ['x'], script_args: [] }, 'without a script'],
    [{ targets: 'a', stdin: 'x', script_args: ['y'] }, 'exactly one of command, argv and script'],
    [{ targets: 'a', script: 'x', script_args: ['a\0'] }, 'NUL'],
    [{ targets: 'a', script: 'x', script_args: 'y' }, 'expected array'],
    [{ targets: 'a', script: '' }, 'Too small'],
    [{ targets: 'a', command: 'x', batch_pause_s: 5 }, 'the pause is between batches'],
    [{ targets: 'a', command: 'x\ud800' }, 'half of a character'],
    [{ targets: 'a', argv: ['x', '\udc00'] }, 'half of a character'],
    [{ targets: 'a', script: 'echo \ud83d' }, 'half of a character'],
    [{ targets: 'a', command: 'x', stdin: '\ud83d' }, 'half of a character'],
    [{ targets: 'a', command: 'x', env: { A: '\ud83d' } }, 'half of a character'],
    [{ targets: 'a', command: 'x', health_check: { command: '\ud83d' } }, 'half of a character'],
  ])('%j is refused: %s', (request, message) => {
    expect(JSON.stringify(Submit.safeParse(request).error?.issues)).toContain(message)
  })

  test.each([
    ['a script and stdin', { script: 'cat', stdin: 'y' }],
    ['a script and arguments', { script: 'echo "$@"', script_args: ['--dry-run', '', '-', '--', 'a b', '$x'] }],
    ['a script and no arguments', { script: 'true', script_args: [] }],
    ['a NUL on stdin', { command: 'cat', stdin: 'a\0b' }],
  ])('takes %s', (_what, request) => {
    expect(Submit.parse({ targets: 'a', ...request })).toMatchObject(request)
  })

  // Characters of two bytes each: what counts is bytes.
  const ofBytes = (bytes: number) => `${'ä'.repeat(bytes / 2)}${bytes % 2 === 1 ? 'x' : ''}`
  const WORD = 131_071
  test.each([
    ['script', 16_777_216, (text: string) => ({ script: text })],
    ['stdin', 16_777_216, (text: string) => ({ script: 'cat', stdin: text })],
    ['stdin', 16_777_216, (text: string) => ({ command: 'cat', stdin: text })],
    ['command', WORD, (text: string) => ({ command: text })],
    ['argv', WORD, (text: string) => ({ argv: ['x', text] })],
    ['script_args', WORD, (text: string) => ({ script: 'x', script_args: [text] })],
    ['env', WORD - 2, (text: string) => ({ command: 'x', env: { A: text } })],
    ['argv', 1_048_576, (text: string) => ({ argv: text.match(/.{1,50000}/g) ?? [] })],
    ['script_args', 1_048_576, (text: string) => ({ script: 'x', script_args: text.match(/.{1,50000}/g) ?? [] })],
  ])('has a limit of bytes for %s: %i', (field, limit, request) => {
    expect(Submit.safeParse({ targets: 'a', ...request(ofBytes(limit)) }).success).toBe(true)
    const { error } = Submit.safeParse({ targets: 'a', ...request(ofBytes(limit + 1)) })
    expect(error?.issues).toEqual([
      expect.objectContaining({
        path: expect.arrayContaining([field]),
        message: expect.stringContaining('longer than'),
      }),
    ])
  })
})

describe('a fault', () => {
  test('is reported with its code, its status and what to do next', () => {
    const problem = toProblem(new MusterError('unknown_target', 'no host "wbe1"', { details: { nearest: ['web1'] } }))
    expect(problem).toMatchObject({ status: 422, code: 'unknown_target', detail: 'no host "wbe1"', nearest: ['web1'] })
    expect(problem.next).toBe(ERRORS.unknown_target.next)
  })

  test('of an unknown kind, or our own, is reported without its text', () => {
    expect(JSON.stringify(toProblem(new Error('canary')))).not.toContain('canary')
    expect(JSON.stringify(toProblem(new MusterError('internal', 'canary')))).not.toContain('canary')
  })
})
