/** Quoting is proven against the shells themselves: what a program gets must be what was asked for, byte by byte. */
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { execWords, interpreterOf, quoteWord } from '../../../libs/ssh/src/shell/quote.ts'

const SHELLS = ['sh', 'dash', 'bash', 'ksh', 'zsh', 'busybox'].filter(
  (shell) => spawnSync(shell, shell === 'busybox' ? ['sh', '-c', ':'] : ['-c', ':']).status === 0,
)
const words = fc.array(
  fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom(...`'"\\$\`!*?[]{}();&|<>~#=%^- \t\n\r`) }),
    fc.constantFrom('', '-', '--', '-n', '-c', 'a=b', '$(id)', '; rm -rf /', "it's", '\n', '~', '!!', '*'),
  ),
  { maxLength: 6 },
)
/** What a shell can be given at all: no NUL, and nothing that UTF-8 cannot say. */
const safe = (word: string) => Buffer.from(word.replaceAll('\0', '')).toString()

// A program of each awkward name that prints its arguments, each ended by NUL.
const bin = mkdtempSync(join(tmpdir(), 'muster-quote-'))
const NAMES = ['show', '-n', '-c', '--', 'a=b', 'if', 'cd', 'echo', 'test', "it's", '$x', 'two words', '!']
/** The exec of zsh runs a builtin before a program of that name. The launcher is run by sh. */
const BUILTINS = new Set(['cd', 'echo', 'test'])
const namesFor = (shell: string) => NAMES.filter((name) => shell !== 'zsh' || !BUILTINS.has(name))
for (const name of NAMES) {
  writeFileSync(join(bin, name), `#!/bin/sh\n[ $# -eq 0 ] || printf '%s\\0' "$@"\n`)
  chmodSync(join(bin, name), 0o755)
}
afterAll(() => rmSync(bin, { recursive: true }))

/** HOME: zsh reads the start-up file of a person at each start, and theirs may print. */
const ENV = { PATH: `${bin}:/usr/bin:/bin`, HOME: bin, SHLVL: '2' }

function run(shell: string, text: string): string {
  const args = shell === 'busybox' ? ['sh', '-c', text] : ['-c', text]
  return execFileSync(shell, args, { encoding: 'utf8', env: ENV })
}

describe.each(SHELLS)('in %s', (shell) => {
  test('a quoted word is read back as exactly that word', () => {
    fc.assert(
      fc.property(words, (given) => {
        const wanted = given.map(safe)
        const text = `set -- ${wanted.map(quoteWord).join(' ')}; for word; do printf '%s\\0' "$word"; done`
        expect(run(shell, text)).toBe(wanted.map((word) => `${word}\0`).join(''))
      }),
      { numRuns: 60 },
    )
  })

  test('a program gets exactly the arguments that were given, whatever it is called', () => {
    fc.assert(
      fc.property(fc.constantFrom(...namesFor(shell)), words, (name, given) => {
        const wanted = given.map(safe)
        expect(run(shell, execWords([name, ...wanted]))).toBe(wanted.map((word) => `${word}\0`).join(''))
      }),
      { numRuns: 60 },
    )
  })
})

test('the shells that everything depends on were there to be tried', () => {
  expect(SHELLS).toEqual(expect.arrayContaining(['sh', 'bash']))
})

test.each([
  ['echo hi', undefined],
  ['', undefined],
  ['#!/bin/bash\necho', ['/bin/bash']],
  ['#! /bin/sh -eu \necho', ['/bin/sh', '-eu']],
  ['#!/usr/bin/env python3', ['/usr/bin/env', 'python3']],
  ['#!/usr/bin/env -S python3 -u\n', ['/usr/bin/env', '-S python3 -u']],
  ['#!\t/bin/awk\t-f\t\n', ['/bin/awk', '-f']],
  ['#!\necho', undefined],
  ['#!   \necho', undefined],
  [' #!/bin/sh\n', undefined],
  ['\n#!/bin/sh\n', undefined],
])('the interpreter of %j is found as Linux finds it', (script, wanted) => {
  expect(interpreterOf(script)).toEqual(wanted)
})
