/** What a run is on accounts with other login shells, side by side with what `ssh host command` gives on the same account. */
import { describe, expect, onTestFinished, test } from 'vitest'
import { CAN_MAKE_ACCOUNTS, makeAccount } from '../support/account.ts'
import { findProgram } from '../support/programs.ts'
import { reach, run, sshdHost } from '../support/ssh.ts'

const SHELLS = ['bash', 'zsh', 'dash', 'ksh93', 'mksh', 'fish', 'tcsh']

describe.each(SHELLS)('an account whose login shell is %s', (name) => {
  const shell = findProgram(name)

  test.skipIf(shell === undefined || !CAN_MAKE_ACCOUNTS)('runs a command in that shell', async () => {
    const { user, close } = await makeAccount(shell ?? '')
    onTestFinished(close)
    const end = await run(await reach(sshdHost({ user })), 'echo $0; exit 3')
    expect(end).toMatchObject({ state: 'failed', exitCode: 3 })
  })
})
