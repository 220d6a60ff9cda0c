/**
 * What is known of a start where the host keeps its proof to itself: without a start mark nothing is claimed, neither
 * that the command ran nor that it did not. "Not started" is said only where the host itself has said so.
 */

import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RemoteCommand } from '@muster/ssh'
import { describe, expect, onTestFinished, test } from 'vitest'
import { findProgram } from '../../../support/runtime/programs.ts'
import { CAN_MAKE_ACCOUNTS, makeAccount } from '../../../support/ssh/account.ts'
import { reach, reachOwnSshd, run, sshdHost, type Told } from '../../../support/ssh/ssh.ts'

const MARKED = 'echo ran >>~/ran; exit 5'

/** Runs a command under a shell with this start-up file, and looks how often it ran. */
async function runWith(shell: string, file: string, text: string, command: RemoteCommand | string = MARKED) {
  const account = await makeAccount(shell, { '.hushlogin': '', [file]: `${text}\n` })
  onTestFinished(account.close)
  const end: Told = await run(await reach(sshdHost({ user: account.user })), command)
  const read = (name: string) => {
    try {
      return readFileSync(join(account.home, name), 'utf8').trim().split('\n').length
    } catch {
      return 0
    }
  }
  return { end, ran: read('ran'), other: read('other') }
}
const onShell = (name: string) => test.skipIf(findProgram(name) === undefined || !CAN_MAKE_ACCOUNTS)

onShell('bash')('a start mark that something on the host keeps is no proof that nothing ran', async () => {
  const { end, ran } = await runWith('/bin/bash', '.bashrc', 'exec > >(grep --line-buffered -v start-) 2>&1')
  expect(ran).toBe(1)
  expect(end).toMatchObject({ state: 'lost', reason: 'conn_lost', remote: 'unknown', exitCode: null })
})

describe('stdin that a start-up file replaces', () => {
  test.skipIf(!CAN_MAKE_ACCOUNTS).each([
    ['nothing', 'exec </dev/null'],
    ['a file, whose lines are not run', 'echo "echo x >>~/other" >~/text; exec 0<~/text'],
  ])('by %s gets nothing of the command', async (_title, bashrc) => {
    const { end, ran, other } = await runWith('/bin/bash', '.bashrc', bashrc)
    expect([ran, other]).toEqual([0, 0])
    expect(end).toMatchObject({ state: 'unreachable', reason: 'channel_refused', remote: 'not_started' })
    expect(end.detail).toContain('replaced its stdin')
  })
})

describe.each([
  ['bash', '.bashrc', ['readonly PATH', "set -T; trap 'echo debug' DEBUG"]],
  ['zsh', '.zshenv', ['TRAPEXIT() { echo bye }', 'TRAPDEBUG() { echo debug }', 'setopt EXTENDED_GLOB']],
  ['dash', '.profile', []],
  ['ksh93', '.kshrc', []],
  ['mksh', '.mkshrc', []],
  ['fish', '.config/fish/config.fish', ['function sh; end', 'set PATH /nonexistent']],
  ['tcsh', '.tcshrc', []],
] as const)('%s', (name, file, startUps) => {
  const shell = findProgram(name) ?? ''
  onShell(name)('runs a command whose PATH knows none of our programs', async () => {
    const { end, ran } = await runWith(shell, file, '', { form: { command: MARKED }, env: { PATH: '/nonexistent' } })
    expect([ran, end.state, end.exitCode]).toEqual([1, 'failed', 5])
  })

  onShell(name)('gives a command any variable', async () => {
    const env = { muster: 'm', posix: 'p', fish: 'f', g: 'g', stat: 's' }
    const command = "sh -c 'echo $muster $posix $fish $g $stat'"
    const { end } = await runWith(shell, file, '', { form: { command }, env })
    expect(end).toMatchObject({ state: 'succeeded', out: 'm p f g s\n' })
  })

  if (startUps.length === 0) return
  onShell(name).each(startUps)('runs a command after %s', async (text) => {
    const { end, ran } = await runWith(shell, file, text)
    expect([ran, end.state, end.exitCode]).toEqual([1, 'failed', 5])
  })
})

const busybox = findProgram('busybox')
test.skipIf(busybox === undefined)('a host that has only busybox reads a script to its end', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'muster-busybox-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  chmodSync(dir, 0o755)
  execFileSync(busybox ?? '', ['--install', '-s', dir])
  const forced = `ForceCommand PATH=${dir}; export PATH; exec ${dir}/sh -c "$SSH_ORIGINAL_COMMAND"`
  const { connection } = await reachOwnSshd([forced])
  for (const length of [0, 1_000, 4_096, 100_000]) {
    const script = `#!${dir}/sh\necho "$1 in $V"\ncat\nexit 5\n${'#'.repeat(length)}`
    const command = { form: { script, args: ['a\nb'] }, env: { V: 'c\nd' }, stdin: 'input\n' }
    expect(await run(connection, command)).toMatchObject({ exitCode: 5, out: 'a\nb in c\nd\ninput\n', err: '' })
  }
})
