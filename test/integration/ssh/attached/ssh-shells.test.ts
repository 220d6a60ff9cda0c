/**
 * What a run is on accounts with other login shells, side by side with what `ssh host command` gives on the same
 * account. docs/shells.md lists the differences; each of them is in DIFFERENCES, so that one that goes away is noticed.
 */
import { chmodSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findProgram } from '../../../support/runtime/programs.ts'
import { type Account, CAN_MAKE_ACCOUNTS, makeAccount } from '../../../support/ssh/account.ts'
import { plainExec } from '../../../support/ssh/plain-exec.ts'
import { reach, run, sshdHost } from '../../../support/ssh/ssh.ts'

const SHELLS = ['bash', 'zsh', 'dash', 'ksh93', 'mksh', 'fish', 'tcsh', 'ash']
/** Start-up files that a shell reads for a command: each says that it was read, and defines something. */
const FILES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  bash: { '.bashrc': 'echo read >>~/starts; ours() { echo "ours $1"; }; export OURS=1\n' },
  zsh: { '.zshenv': 'echo read >>~/starts; ours() { echo "ours $1"; }; export OURS=1\nalias theirs="echo theirs"\n' },
  fish: {
    '.config/fish/config.fish': 'echo read >>~/starts; function ours; echo "ours $argv[1]"; end; set -gx OURS 1\n',
  },
  tcsh: { '.tcshrc': 'echo read >>~/starts; alias ours "echo ours"; setenv OURS 1\n' },
}
const COMMANDS = [
  'true',
  'false',
  'exit 3',
  'echo hi',
  'no-such-program',
  'ls /nonexistent',
  'echo $0',
  'echo "a  b" c',
  'pwd',
  'sh -c "exit 7"',
  "sh -c 'kill -9 $$'",
  "sh -c 'kill -15 $$' x",
  'kill -9 $$',
  'echo $OURS',
  'ours 1',
  'umask',
  'echo one; echo two >&2; exit 5',
  'echo *',
  'cat',
  'test -t 0',
  'theirs 2',
  "printf '%s|' 'a b' 'c'",
  'cd /; pwd',
  'echo a | tr a b',
  'env | grep -c "^HOME="',
  'sleep 0 &',
  'exec sh -c "exit 4"',
  '"',
  "echo 'x",
  'echo ~',
]
const POSIX_COMMANDS = [
  'set -e; false; echo no',
  'f() { return 3; }; f',
  'trap "echo bye" EXIT; exit 2',
  'echo "$#-$*"',
  `echo "\${muster-}"`,
  'wait; echo $?',
  'read x; echo "$?$x"',
  'echo a\necho b',
  'if true; then\n  echo yes\nfi',
  'cat <<E\nhere\nE',
  'x=1; echo $x',
  'echo a # comment',
  '(exit 6)',
  '! true',
  'echo $((6 * 7))',
  'return 4',
]
/** Where a run is not what ssh gives, and why; the same words are in docs/shells.md. */
const DIFFERENCES: Readonly<Record<string, readonly string[]>> = {
  // A single program is reported with its signal, where ssh reports 128 + n.
  dash: ["sh -c 'kill -9 $$'", "sh -c 'kill -15 $$' x"],
  mksh: ["sh -c 'kill -9 $$'", "sh -c 'kill -15 $$' x"],
  // A text that cannot be parsed is a failure, where ssh tells 0.
  fish: ['"', "echo 'x", 'kill -9 $$'],
  // The same end, in other words.
  tcsh: ['"', "echo 'x"],
}

const dir = mkdtempSync(join(tmpdir(), 'muster-shells-'))
chmodSync(dir, 0o755)
const busybox = findProgram('busybox')
const ASH = busybox && join(dir, 'ash')
if (busybox !== undefined && ASH !== undefined) symlinkSync(busybox, ASH)
afterAll(() => rmSync(dir, { recursive: true }))

/** What the messages of shells say of where they are: a text that is evaluated has another name for it. */
const plainWords = (text: string) =>
  text.replaceAll(/^.*(?=(not found|unexpected|unmatched|syntax error|unterminated))/gim, '')

/** tcsh names the process that it puts into the background. */
const withoutIds = (text: string) => text.replaceAll(/(?<=^\[1\] )\d+/gm, 'ID')

describe.each(SHELLS)('an account whose login shell is %s', (name) => {
  // The ash of busybox, which is what it is by its name.
  const shell = name === 'ash' ? ASH : findProgram(name)
  const test_ = test.skipIf(shell === undefined || !CAN_MAKE_ACCOUNTS)
  let account: Account
  beforeAll(async () => {
    if (shell === undefined || !CAN_MAKE_ACCOUNTS) return
    account = await makeAccount(shell, { '.hushlogin': '', ...FILES[name] })
  })
  afterAll(() => account?.close())
  const isPosix = name !== 'fish' && name !== 'tcsh'

  test_.each([...COMMANDS, ...(isPosix ? POSIX_COMMANDS : [])])('gives %j as ssh does', async (command) => {
    const connection = await reach(sshdHost({ user: account.user }))
    const plain = await plainExec(connection, command)
    const end = await run(connection, command)
    const told = { exitCode: end.exitCode, signal: end.signal, out: withoutIds(end.out), err: plainWords(end.err) }
    const expected = { ...plain, out: withoutIds(plain.out), err: plainWords(plain.err) }
    if (DIFFERENCES[name]?.includes(command)) expect(told).not.toEqual(expected)
    else expect(told).toEqual(expected)
    expect(end.remote).toBe('ended')
  })

  if (FILES[name] === undefined) return
  test_('reads its start-up files once, as ssh does', async () => {
    const connection = await reach(sshdHost({ user: account.user }))
    await plainExec(connection, 'rm -f ~/starts')
    const { out } = await run(connection, 'sort ~/starts')
    expect(out).toBe('read\n')
  })
})
