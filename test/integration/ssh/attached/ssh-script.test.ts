/**
 * A script and its stdin are two things, for every interpreter and under every login shell: what the script reads is
 * the job's input and never its own text. The text is on no command line and in no file that stays.
 */
import { readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findProgram } from '../../../support/runtime/programs.ts'
import { type Account, CAN_MAKE_ACCOUNTS, makeAccount } from '../../../support/ssh/account.ts'
import { reach, run, sshdHost } from '../../../support/ssh/ssh.ts'
import { CAN_MAKE_SUDOERS, makeSudoer } from '../../../support/ssh/sudoer.ts'

const SCRIPTS: readonly (readonly [string, string])[] = [
  ['sh', '#!/bin/sh\necho before\ncat >/dev/null\necho "after $1 $#"\nexit 3\n'],
  ['no first line', 'set -u\necho before\ncat >/dev/null\necho "after $1 $#"\nexit 3\n'],
  ['bash', `#!/bin/bash -eu\necho before\n: "$0" "\${BASH_SOURCE[0]}"\ncat >/dev/null\necho "after $1 $#"\nexit 3\n`],
  ['env bash', '#!/usr/bin/env bash\necho before\ncat >/dev/null\necho "after $1 $#"\nexit 3\n'],
  [
    'python3',
    '#!/usr/bin/env -S python3 -u\nimport sys\nprint("before")\nsys.stdin.read()\n' +
      'print("after", sys.argv[1], len(sys.argv) - 1)\nsys.exit(3)\n',
  ],
  [
    'perl',
    '#!/usr/bin/env perl\nprint "before\\n"; my @in = <STDIN>; ' +
      'print "after $ARGV[0] ", scalar(@ARGV), "\\n"; exit 3;\n__DATA__\nmore\n',
  ],
]
/** So long that a shell reads it in more than one piece. */
const longer = (script: string) => script.replace('\n', `\n${'#'.repeat(5_000)}\n`)

test.each(SCRIPTS)('a script for %s has its second half, its arguments and its exit code', async (_name, script) => {
  const connection = await reach()
  for (const text of [script, longer(script), script.trimEnd()]) {
    const end = await run(connection, { form: { script: text, args: ['--dry-run', "it's $x"] } })
    expect(end).toMatchObject({ exitCode: 3, out: 'before\nafter --dry-run 2\n', err: '' })
  }
})

test.each(SCRIPTS)('a script for %s reads the stdin of the job', async (_name, script) => {
  const reading = script.replace('>/dev/null', '').replace('sys.stdin.read()', 'print(sys.stdin.read(), end="")')
  const text = reading.replace('my @in = <STDIN>;', 'print <STDIN>;')
  const end = await run(await reach(), { form: { script: text, args: ['x'] }, stdin: 'one\ntwo\n' })
  expect(end.out).toBe('before\none\ntwo\nafter x 1\n')
})

test('a script for awk reads the stdin of the job', async () => {
  const end = await run(await reach(), {
    form: { script: '#!/usr/bin/awk -f\n{ print "got", $1 }\n' },
    stdin: 'a\nb\n',
  })
  expect(end).toMatchObject({ exitCode: 0, out: 'got a\ngot b\n' })
})

test.each(['#!/usr/bin/env node', '#!/usr/bin/env -S node --no-warnings'])(
  'a script for node, which looks for the true name of it, reads the stdin of the job: %s',
  async (firstLine) => {
    const text =
      'process.stdin.pipe(process.stdout); process.on("exit", () => { process.exitCode = process.argv.length })'
    const form = { script: `${firstLine}\n${text}\n`, args: ['a'] }
    const end = await run(await reach(), { form, stdin: 'one\n' })
    expect(end).toMatchObject({ exitCode: 3, out: 'one\n', err: '' })
  },
)

test('a script for perl that starts itself again finds its text there', async () => {
  const script =
    '#!/usr/bin/env perl\nexec $^X, $0, "again" unless @ARGV;\nprint "$ARGV[0] ", <DATA>;\n__DATA__\nmore\n'
  expect(await run(await reach(), { form: { script } })).toMatchObject({ exitCode: 0, out: 'again more\n' })
})

test('a script that reads nothing of its input does not run any of it', async () => {
  const end = await run(await reach(), { form: { script: '#!/bin/sh\nexit 0\n' }, stdin: 'echo no\n' })
  expect(end).toMatchObject({ exitCode: 0, out: '' })
})

test.each(['\0', 'ä🙂', '\r\n', "'", `muster-${'0'.repeat(32)}\n`])(
  'a script that holds %j arrives as it is',
  async (odd) => {
    const script = `#!/bin/sh\ntail -n 1 "$0" | od -An -tx1 | tr -d ' \\n'\nexit\n${odd}`
    const last = odd.split('\n').filter(Boolean).at(-1) ?? ''
    const { out } = await run(await reach(), { form: { script } })
    expect(out).toContain(Buffer.from(last).toString('hex'))
  },
)

test('a script of 16 MiB with 16 MiB of stdin arrives whole', async () => {
  const script = `#!/bin/sh\nwc -c\nexit 4\n${'#'.repeat(16 * 1024 * 1024 - 30)}`
  const end = await run(await reach(), { form: { script }, stdin: Buffer.alloc(16 * 1024 * 1024, 'x') })
  expect(end).toMatchObject({ exitCode: 4, out: `${16 * 1024 * 1024}\n` })
})

test('nothing of the script is on a command line, and nothing of it stays, also when it is killed', async () => {
  const connection = await reach()
  const look = 'ps -A -ww -o args= | grep -c "[s]ecret-$((40 + 2))"'
  const script = `#!/bin/sh\n# secret-42\n${look}\n`
  for (const text of [script, longer(script)]) {
    expect(await run(connection, { form: { script: text } })).toMatchObject({ out: '0\n', exitCode: 1 })
  }
  const slow = { form: { script: longer('#!/bin/sh\nsleep 60\n') } }
  for (const execTimeoutMs of [1, 20, 60, 200]) {
    expect(await run(connection, slow, { execTimeoutMs })).toMatchObject({ exitCode: null, remote: 'ended' })
  }
  expect(readdirSync(tmpdir()).filter((name) => name.startsWith('.muster-'))).toEqual([])
})

describe.each(['bash', 'zsh', 'dash', 'ksh93', 'mksh', 'fish', 'tcsh'])('under the login shell %s', (name) => {
  const shell = findProgram(name)
  let account: Account | undefined
  beforeAll(async () => {
    if (shell !== undefined && CAN_MAKE_ACCOUNTS) account = await makeAccount(shell, { '.hushlogin': '' })
  })
  afterAll(() => account?.close())

  test.skipIf(shell === undefined || !CAN_MAKE_ACCOUNTS)(
    'a script has its text, its input and its arguments',
    async () => {
      const connection = await reach(sshdHost({ user: account?.user ?? '' }))
      const first = `#!/bin/bash -u\necho "$0 \${BASH_SOURCE[0]} $*"\nhead -n 1\n`
      const script = `${first}cat >/dev/null\necho "$V in $PWD"\nexit 3\n`
      for (const text of [script, longer(script)]) {
        const command = {
          form: { script: text, args: ['a b', '-n'] },
          stdin: 'one\ntwo\n',
          env: { V: 'a\nb' },
          cwd: '/tmp',
        }
        const end = await run(connection, command)
        expect(end).toMatchObject({ exitCode: 3, out: `/dev/fd/4 /dev/fd/4 a b -n\none\na\nb in /tmp\n`, err: '' })
      }
    },
  )
})

test.skipIf(!CAN_MAKE_SUDOERS)('past sudo a script has its text, its input and its arguments too', async () => {
  const sudoer = await makeSudoer((user) => `${user} ALL=(root) NOPASSWD: ALL`)
  try {
    const connection = await reach(sshdHost({ user: sudoer.user }))
    const script = '#!/bin/sh\nid -un; cat; echo "$1"; exit 3\n'
    for (const text of [script, longer(script)]) {
      const command = { form: { script: text, args: ['arg'] }, stdin: 'one\n', sudo: { user: 'root' } }
      expect(await run(connection, command)).toMatchObject({ exitCode: 3, out: 'root\none\narg\n' })
    }
  } finally {
    await sudoer.close()
  }
})
