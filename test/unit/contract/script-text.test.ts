/** Which scripts are refused as they stand, and how they are mended; all others are taken. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeUtf8, Submit, scriptMistake } from '@muster/contract'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'

const utf16 = (text: string) => Buffer.from(text, 'utf16le')

describe('a script is refused', () => {
  test.each([
    ['a CR at the end of its "#!" line', '#!/bin/bash\r\necho hi\r\n', /"#!" line ends with a CR/],
    ['a CR and other line ends below', '#!/bin/bash\r\necho hi\n', /"#!" line ends with a CR/],
    ['CR alone as line ends', '#!/bin/sh\recho hi\r', /"#!" line ends with a CR/],
    ['Windows line ends and no "#!" line', 'cd /srv\r\nrm -rf *\r\n', /Windows line ends, and sh treats the CR/],
    ['a byte-order mark', '\ufeff#!/bin/sh\necho hi\n', /begins with a byte-order mark/],
    ['a byte-order mark and no "#!" line', '\ufeffecho hi\n', /begins with a byte-order mark/],
    ['the mark of UTF-8 read as Latin-1', '\u00ef\u00bb\u00bf#!/bin/sh\n', /begins with a byte-order mark/],
    ['UTF-16 read as UTF-16', utf16('\ufeff#!/bin/sh\n').toString('utf16le'), /begins with a byte-order mark/],
    ['UTF-16 read as Latin-1', utf16('\ufeff#!/bin/sh\n').toString('latin1'), /NUL .*iconv -f UTF-16/],
    ['UTF-16 without a mark', utf16('#!/bin/sh\n').toString('latin1'), /NUL .*iconv -f UTF-16/],
    ['UTF-16 of the other kind, read as it is not', '\ufffe\u2300\u2100', /begins with a byte-order mark/],
    ['a NUL in its first line', '#!/bin/sh\0\necho hi\n', /contains a NUL character/],
    ['a NUL further down', 'echo hi\necho "\0"\n', /contains a NUL character/],
    ['no interpreter', '#!\necho hi\n', /names no interpreter/],
    ['only blanks for an interpreter', '#! \t \necho hi\n', /names no interpreter/],
    ['an interpreter without a path', '#!python3\nprint(1)\n', /without a path.*#!\/usr\/bin\/env NAME/],
    ['a "#!" line longer than Linux reads', `#!/bin/sh ${'x'.repeat(246)}\n`, /longer than the 255 bytes/],
    ['a "#!" line of few letters and many bytes', `#!/${'ä'.repeat(127)}\n`, /longer than the 255 bytes/],
    ['a no-break space in its "#!" line', '#!/usr/bin/env\u00a0bash\n', /an invisible character in it/],
    ['a space of no width in its "#!" line', '#!/bin/sh\u200b\n', /an invisible character in it/],
    ['a form feed in its "#!" line', '#!/bin/sh\f\n', /an invisible character in it/],
    ['an empty line before "#!"', '\n#!/usr/bin/python3\nprint(1)\n', /not at its very beginning/],
    ['blanks before "#!"', '  #!/bin/bash\n', /not at its very beginning/],
    ['an unseen character before "#!"', '\u200b#!/bin/bash\n', /not at its very beginning/],
    ['several words for env', '#!/usr/bin/env python3 -u\n', /env several words.*env -S/],
    ['a variable for env', '#!/usr/bin/env A=1 bash\n', /env several words.*env -S/],
    ['an option and a word for env', '#!/usr/bin/env -i bash\n', /env several words.*env -S/],
  ])('for %s', (_what, script, message) => {
    expect(scriptMistake(script)).toMatch(message)
    const { error } = Submit.safeParse({ targets: 'a', script })
    expect(error?.issues).toEqual([expect.objectContaining({ path: ['script'], message: scriptMistake(script) })])
  })

  test('without a word of it being repeated, as it may hold a password', () => {
    for (const script of [
      '#!hunter2\n',
      '#!/usr/bin/env P=hunter2 sh\n',
      '#!/hunter2\r\n',
      '\ufeffhunter2',
      '\n#!/hunter2',
    ]) {
      expect(scriptMistake(script)).not.toContain('hunter2')
    }
  })
})

test.each([
  ['no "#!" line', 'echo hi\n'],
  ['a "#!" line, blanks around its parts', '#! \t/bin/sh  -e \necho hi\n'],
  ['one argument to env', '#!/usr/bin/env python3\nprint(1)\n'],
  ['several, split', '#!/usr/bin/env -S python3 -u\nprint(1)\n'],
  ['several, split and told', '#!/usr/bin/env -vS python3 -u\nprint(1)\n'],
  ['an interpreter beside it', '#!./interpreter\n'],
  ['the longest "#!" line', `#!/bin/sh ${'x'.repeat(245)}\necho hi\n`],
  ['a CR that is not in its first line', '#!/bin/sh\nprintf "a\r\n"\n'],
  ['a byte-order mark that is not at its beginning', '#!/bin/sh\nprintf "\ufeff"\n'],
  ['a comment that looks like it further down', 'echo hi\n#!/bin/bash\n'],
  ['nothing but a "#!" line', '#!/bin/true'],
  ['letters of any language', 'echo "žluťoučký 🐎"\n'],
])('a script with %s is taken', (_what, script) => {
  expect(scriptMistake(script)).toBeUndefined()
  expect(Submit.safeParse({ targets: 'a', script }).error).toBeUndefined()
})

test.each([
  ['Windows line ends', '#!/bin/sh\r\necho hi\r\n'],
  ['Windows line ends and no "#!" line', 'echo hi\r\n'],
  ['a byte-order mark', '\ufeff#!/bin/sh\necho hi\n'],
])('what is told mends a script with %s', (_what, script) => {
  const dir = mkdtempSync(join(tmpdir(), 'muster-script-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  const file = join(dir, 'deploy.sh')
  writeFileSync(file, script)
  const [, command = 'false'] = /: (sed .*)$/.exec(scriptMistake(script, file) ?? '') ?? []
  execFileSync('sh', ['-c', command])
  expect(scriptMistake(readFileSync(file, 'utf8'))).toBeUndefined()
  expect(execFileSync('sh', [file]).toString()).toBe('hi\n')
})

describe('bytes', () => {
  test.each([
    ['a byte of Latin-1', Buffer.from('caf\xe9 au lait', 'latin1'), 3],
    ['the first', Buffer.from([0xff, 0xfe, 0x23, 0x00]), 0],
    [
      'one after a character that stands for an unreadable one',
      Buffer.concat([Buffer.from('a\ufffdb'), Buffer.from([0x80])]),
      5,
    ],
    ['a sequence that is cut off', Buffer.from('ok 🐎').subarray(0, 5), 3],
    ['half of a surrogate pair', Buffer.from([0x61, 0xed, 0xa0, 0x80]), 1],
    ['an overlong sequence', Buffer.from([0xc0, 0xaf]), 0],
  ])('that are no UTF-8 are told by the first that is wrong: %s', (_what, bytes, badAt) => {
    expect(decodeUtf8(bytes)).toEqual({ badAt })
  })

  test('are the text that they are, or are found to be none, and all before the offset told is text', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.string({ unit: 'binary' }), (junk, text) => {
        const bytes = Buffer.concat([Buffer.from(text), junk])
        const decoded = decodeUtf8(bytes)
        const isText = 'text' in decoded && Buffer.from(decoded.text).equals(bytes)
        const isNone = 'badAt' in decoded && 'text' in decodeUtf8(bytes.subarray(0, decoded.badAt))
        expect(isText || isNone).toBe(true)
      }),
    )
  })
})
