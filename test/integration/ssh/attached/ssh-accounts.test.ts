/**
 * Accounts as people have them: start-up files that print, wait, replace the shell or leave it; recorders, forced
 * commands, restricted shells, devices. Whatever they do, a run says what is true of its command, and the file that
 * each command makes on the host shows it.
 */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { findProgram } from '../../../support/runtime/programs.ts'
import { type Account, CAN_MAKE_ACCOUNTS, makeAccount } from '../../../support/ssh/account.ts'
import { reach, reachOwnSshd, run, sshdHost, type Told } from '../../../support/ssh/ssh.ts'

const asRoot = test.skipIf(!CAN_MAKE_ACCOUNTS)
const COMMAND = 'echo ran >>~/ran; echo out; echo err >&2; exit 5'

async function accountOf(shell: string, files: Readonly<Record<string, string>> = {}): Promise<Account> {
  const account = await makeAccount(shell, { '.hushlogin': '', ...files })
  onTestFinished(account.close)
  return account
}

/** Runs the command, and looks how often it ran. */
async function runOn(account: Account, command = COMMAND, options: Parameters<typeof run>[2] = {}) {
  const end = await run(await reach(sshdHost({ user: account.user })), command, options)
  const file = join(account.home, 'ran')
  return { end, ran: existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').length : 0 }
}

function expectNotStarted({ end, ran }: { end: Told; ran: number }, words: string | RegExp): void {
  expect(ran).toBe(0)
  expect(end).toMatchObject({ state: 'unreachable', reason: 'channel_refused', remote: 'not_started', exitCode: null })
  expect(end.detail).toMatch(words)
}

describe('start-up files of bash that', () => {
  asRoot.each([
    ['print a banner', 'echo banner; echo other >&2', 'banner\nout\n', 'other\nerr\n'],
    ['print without a line end', 'printf banner', 'bannerout\n', 'err\n'],
    ['bring stderr into stdout', 'exec 2>&1', 'out\nerr\n', ''],
    ['bring stdout into stderr', 'exec >&2', '', 'out\nerr\n'],
    ['close stderr', 'exec 2>/dev/null', 'out\n', ''],
    ['close stdout', 'exec >/dev/null', '', 'err\n'],
    ['are strict', 'set -eu', 'out\n', 'err\n'],
    ['split words oddly', 'IFS=o', 'out\n', 'err\n'],
    ['protect files', 'set -C', 'out\n', 'err\n'],
    ['trap the exit', "trap 'echo bye' EXIT", 'out\nbye\n', 'err\n'],
    ['define what hides programs', 'head() { :; }; setsid() { :; }; sh() { :; }; cd() { exit 9; }', 'out\n', 'err\n'],
    ['go elsewhere', 'cd /tmp', 'out\n', 'err\n'],
    ['have no PATH', 'PATH=', 'out\n', 'err\n'],
    ['take long', 'sleep 1', 'out\n', 'err\n'],
    ['leave a child behind', 'sleep 300 >/dev/null 2>&1 </dev/null &', 'out\n', 'err\n'],
  ])('%s let the command run, once', async (_title, bashrc, out, err) => {
    const { end, ran } = await runOn(await accountOf('/bin/bash', { '.bashrc': `${bashrc}\n` }))
    expect(ran).toBe(1)
    expect(end).toMatchObject({ state: 'failed', exitCode: 5, remote: 'ended' })
    expect([end.out, end.err]).toEqual([out, err])
  })

  asRoot('print what they run do not print the environment of the command', async () => {
    const account = await accountOf('/bin/bash', { '.bashrc': 'set -x\n' })
    const end = await run(await reach(sshdHost({ user: account.user })), {
      form: { command: 'echo out' },
      env: { TOKEN: 'secret-1' },
    })
    expect(end).toMatchObject({ state: 'succeeded', out: 'out\n' })
    expect(end.err).not.toContain('secret')
  })

  asRoot.each([
    ['replace the shell', 'exec dash', /did not get as far as running a line/],
    ['replace it by one without start-up files', 'exec bash --norc', /did not get as far/],
    ['leave it with success', 'exit 0', /exit status 0/],
    ['leave it with a failure', 'exit 3', /exit status 3/],
    ['leave it with words', 'echo no entry today; exit 1', /no entry today/],
    ['hide echo', 'echo() { :; }', /did not get as far/],
    ['are killed', 'kill -9 $$', /SIGKILL|KILL/],
  ])('%s let nothing run, and that is reported', async (_title, bashrc, words) => {
    const account = await accountOf('/bin/bash', { '.bashrc': `${bashrc}\n` })
    expectNotStarted(await runOn(account, COMMAND, { channelTimeoutMs: 2_000 }), words)
  })

  asRoot.each([
    ['one line of stdin', 'read x'],
    ['all of stdin', 'cat >/dev/null'],
  ])('read %s would take the command: it is not sent, and the reason is told', async (_title, bashrc) => {
    const account = await accountOf('/bin/bash', { '.bashrc': `${bashrc}\n` })
    expectNotStarted(await runOn(account, COMMAND, { channelTimeoutMs: 1_000 }), /a start-up file .* reads stdin/)
  })

  asRoot('define a function behind a guard are read once, so that the function is there', async () => {
    const bashrc = '[ -n "$LOADED" ] && return; export LOADED=1; ours() { echo ours; }\n'
    const { end } = await runOn(await accountOf('/bin/bash', { '.bashrc': bashrc }), 'ours')
    expect(end).toMatchObject({ state: 'succeeded', out: 'ours\n' })
  })
})

describe('an account', () => {
  const recorder = findProgram('tlog-rec-session')
  test.skipIf(recorder === undefined || !CAN_MAKE_ACCOUNTS)(
    'whose sessions are recorded runs a command once',
    async () => {
      const { end, ran } = await runOn(await accountOf(recorder ?? ''))
      expect(ran).toBe(1)
      expect(end).toMatchObject({ state: 'failed', exitCode: 5 })
      expect(end.out + end.err).toMatch(/out\r?\nerr/)
    },
  )

  asRoot('whose shell is a pipe runs a command once', async () => {
    const shell = await program('#!/bin/sh\nsh "$@" 2>&1 | cat\n')
    const { end, ran } = await runOn(await accountOf(shell))
    // The exit status is that of the pipe, as ssh tells it too.
    expect({ ran, state: end.state, out: end.out }).toEqual({ ran: 1, state: 'succeeded', out: 'out\nerr\n' })
  })

  asRoot.each([
    ['is nologin', '/usr/sbin/nologin', /its shell is nologin/],
    ['is false', '/bin/false', /exit status 1/],
    ['is cat', '/bin/cat', /did not get as far/],
  ])('whose shell %s runs nothing, and is told', async (_title, shell, words) => {
    expectNotStarted(await runOn(await accountOf(shell), COMMAND, { channelTimeoutMs: 2_000 }), words)
  })

  asRoot('whose shell is restricted runs a command, and is not given a script', async () => {
    const account = await accountOf('/bin/rbash')
    const { end } = await runOn(account, 'echo "$-"; exit 5')
    expect(end).toMatchObject({ state: 'failed', exitCode: 5, out: expect.stringContaining('r') })
    const script = await run(await reach(sshdHost({ user: account.user })), { form: { script: 'echo hi' } })
    expect(script).toMatchObject({ state: 'unreachable', remote: 'not_started' })
    expect(script.detail).toContain('restricted')
  })

  asRoot('whose shell is that of a device gets the hello and nothing else, not even an empty line', async () => {
    const log = join(mkdtempSync(join(tmpdir(), 'muster-device-')), 'log')
    onTestFinished(() => rmSync(join(log, '..'), { recursive: true }))
    chmodSync(join(log, '..'), 0o777)
    const shell = await program(
      `#!/bin/sh\necho "got $*" >>${log}\necho '% Invalid input detected at marker.'\n` +
        `while IFS= read -r l; do echo "line [$l]" >>${log}; done\n`,
    )
    const account = await accountOf(shell)
    expectNotStarted(await runOn(account, COMMAND, { channelTimeoutMs: 1_000 }), /command line of a device/)
    const got = readFileSync(log, 'utf8')
    expect(got).not.toContain('line [')
    expect(got).not.toContain('ran')
  })

  test.each([
    ['only prints', 'echo only this', /only this/],
    ['prints the line', 'printf %s\\n "$SSH_ORIGINAL_COMMAND"', /did not get as far/],
  ])('with a forced command that %s runs nothing', async (_title, forced, words) => {
    const { connection } = await reachOwnSshd([`ForceCommand ${forced}`])
    const end = await run(connection, COMMAND, { channelTimeoutMs: 2_000 })
    expect(end).toMatchObject({ state: 'unreachable', remote: 'not_started', exitCode: null })
    expect(end.detail).toMatch(words)
  })

  test('with a forced command that runs the line is an account like any other', async () => {
    const { connection } = await reachOwnSshd(['ForceCommand sh -c "$SSH_ORIGINAL_COMMAND"'])
    expect(await run(connection, 'echo out; exit 5')).toMatchObject({ state: 'failed', exitCode: 5, out: 'out\n' })
  })

  test.each([
    ['cmd of Windows', "'test' is not recognized as an internal or external command,\r\n"],
    ['PowerShell', "test : The term 'test' is not recognized as the name of a cmdlet\r\nCommandNotFoundException\r\n"],
  ])('whose shell is %s is told so', async (_title, words) => {
    const shell = await program(`#!/bin/sh\ncat <<'E'\n${words}E\nexit 1\n`)
    if (!CAN_MAKE_ACCOUNTS) return
    expectNotStarted(await runOn(await accountOf(shell)), /one of Windows/)
  })
})

/** A program that an account may have as its shell; gone at the end of the test. */
async function program(text: string): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'muster-shell-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  chmodSync(dir, 0o755)
  const file = join(dir, 'shell')
  writeFileSync(file, text)
  chmodSync(file, 0o755)
  return file
}
