/**
 * Durable commands on accounts as people have them: every login shell, streams that are merged or dead, start-up files
 * that do something else the second time. Each runs once, and is a success only where the command itself was reached.
 */
import { chmod, mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RemoteCommand, SshConnection } from '@muster/ssh'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { findProgram } from '../../../support/runtime/programs.ts'
import { type Account, CAN_MAKE_ACCOUNTS, makeAccount } from '../../../support/ssh/account.ts'
import { follow, newRun, told, type Watched } from '../../../support/ssh/durable.ts'
import { reach, sshdHost } from '../../../support/ssh/ssh.ts'

type Reached = { readonly account: Account; readonly connection: SshConnection }

async function accountOf(shell: string, files: Readonly<Record<string, string>> = {}): Promise<Reached> {
  const account = await makeAccount(shell, files)
  onTestFinished(() => account.close())
  return { account, connection: await reach(sshdHost({ user: account.user })) }
}

/** busybox is the shell that it is called by. */
let ash = ''
beforeAll(async () => {
  const dir = await mkdtemp(join(tmpdir(), 'muster-ash-'))
  await chmod(dir, 0o755)
  ash = join(dir, 'ash')
  await symlink(findProgram('busybox') ?? '', ash)
  return () => rm(dir, { recursive: true })
})

/** Notes each start in a file of the account. */
const noting = (command: string) => `echo ran >>$HOME/ran; ${command}`

async function timesRun({ account }: Reached): Promise<number> {
  return (await readFile(join(account.home, 'ran'), 'utf8').catch(() => '')).split('\n').length - 1
}

/** Follows to the end, as a worker does: again and again, and only the first time with the command. */
async function toEnd(reached: Reached, command: RemoteCommand | string, durable: Watched = newRun()) {
  const first = await follow(reached.connection, durable, command)
  if (first.kind !== 'disconnected') return { durable, followed: first }
  const again = await reach(sshdHost({ user: reached.account.user }))
  return { durable, followed: await follow(again, durable, undefined) }
}

const missing = (...names: string[]) => names.some((name) => findProgram(name) === undefined)
const SHELLS = ['bash', 'zsh', 'dash', 'ksh93', 'mksh', 'fish', 'tcsh', 'busybox'] as const

describe.each(SHELLS)('an account whose shell is %s', (name) => {
  const program = findProgram(name)
  const canRun = CAN_MAKE_ACCOUNTS && program !== undefined
  const shell = () => (name === 'busybox' ? ash : (program ?? ''))

  test.skipIf(!canRun)('runs a command once, with its streams apart and its true end', async () => {
    const reached = await accountOf(shell())
    const { durable, followed } = await toEnd(reached, noting(`sh -c 'echo out; echo err >&2; exit 3'`))
    expect(told(durable, followed)).toMatchObject({ state: 'failed', exitCode: 3, out: 'out\n', err: 'err\n' })
    expect(await timesRun(reached)).toBe(1)
  })

  test.skipIf(!canRun)('runs a text of several lines and one that it cannot read as what they are', async () => {
    const reached = await accountOf(shell())
    const lines = await toEnd(reached, 'echo one\necho two\nfalse')
    expect(told(lines.durable, lines.followed)).toMatchObject({ state: 'failed', exitCode: 1, out: 'one\ntwo\n' })
    const { followed } = await toEnd(reached, `${noting('echo (')}`)
    const isSuccess = followed.kind === 'ended' && followed.end.state === 'succeeded'
    expect(isSuccess).toBe(false)
  })

  test.skipIf(!canRun)('gives a script its arguments, and a stdin that is not its text', async () => {
    const reached = await accountOf(shell())
    const script = '#!/bin/bash\nset -u\necho "$0 $BASH_SOURCE $1"\ncat\ncat >/dev/null\necho after\nexit 4\n'
    const { durable, followed } = await toEnd(reached, { form: { script, args: ['--dry run'] }, stdin: 'in\n' })
    const out = '/dev/fd/3 /dev/fd/3 --dry run\nin\nafter\n'
    expect(told(durable, followed)).toMatchObject({ exitCode: 4, out, err: '' })
  })

  test.skipIf(!canRun)('is stopped, and nothing is left', async () => {
    const reached = await accountOf(shell())
    const cancel = new AbortController()
    const durable = newRun()
    const stubborn = { form: { argv: ['sh', '-c', 'trap "" TERM; sh -c "trap : TERM; sleep 9; sleep 9" & sleep 9'] } }
    const options = { signal: cancel.signal, onStarted: () => cancel.abort('cancelled_by_user') }
    const followed = await follow(reached.connection, durable, stubborn, options)
    expect(told(durable, followed)).toMatchObject({ state: 'cancelled', remote: 'ended' })
  })
})

describe.skipIf(!CAN_MAKE_ACCOUNTS)('an account whose streams are', () => {
  const recorder = findProgram('tlog-rec-session')

  test.skipIf(recorder === undefined)(
    'merged by a session recorder: the command runs once, and they are told apart',
    async () => {
      const reached = await accountOf(recorder ?? '')
      const { durable, followed } = await toEnd(reached, noting('echo out; echo err >&2; exit 5'))
      expect(told(durable, followed)).toMatchObject({ state: 'failed', exitCode: 5, out: 'out\n', err: 'err\n' })
      expect(await timesRun(reached)).toBe(1)
    },
  )

  test.skipIf(recorder === undefined)('merged by a session recorder: a stop is confirmed', async () => {
    const reached = await accountOf(recorder ?? '')
    const durable = newRun()
    const cancel = new AbortController()
    const options = { signal: cancel.signal, onStarted: () => cancel.abort('cancelled_by_user') }
    const followed = await follow(reached.connection, durable, `trap '' TERM; while :; do sleep 0.1; done`, options)
    expect(told(durable, followed)).toMatchObject({ state: 'cancelled', remote: 'ended', signal: 'KILL' })
  })

  test.each([
    ['merged', 'exec 2>&1'],
    ['merged the other way round', 'exec >&2'],
    ['without stderr', 'exec 2>/dev/null'],
    ['without stdout', 'exec >/dev/null'],
  ])('%s: the command runs once, and its true end is reported', async (_name, line) => {
    const reached = await accountOf('/bin/bash', { '.bashrc': `${line}\n` })
    const { durable, followed } = await toEnd(reached, noting('sh -c "echo out; echo err >&2"; exit 5'))
    expect(told(durable, followed)).toMatchObject({ state: 'failed', exitCode: 5 })
    expect(await timesRun(reached)).toBe(1)
  })
})

const restricted = findProgram('rbash')
test.skipIf(!CAN_MAKE_ACCOUNTS || restricted === undefined)(
  'a restricted shell cannot hold a durable run',
  async () => {
    const reached = await accountOf(restricted ?? '')
    const durable = newRun()
    const followed = await follow(reached.connection, durable, noting('true'))
    expect(followed).toMatchObject({ kind: 'not_durable', detail: expect.stringContaining('is restricted') })
    expect([durable.wasSent, await timesRun(reached)]).toEqual([false, 0])
  },
)

/** Start-up files that let the log-in pass, and do this when the shell is started for the command. */
const secondTime = (act: string) => `[ -n "$ONCE" ] && { ${act}; }; export ONCE=1\n`

describe.skipIf(!CAN_MAKE_ACCOUNTS)('a second start of the shell', () => {
  const acts: Array<[string, string]> = [
    ['leaves it with 0', 'exit 0'],
    ['leaves it with 3', 'exit 3'],
    ['replaces it by another shell', 'exec sh'],
    ['replaces it by a program', 'exec true'],
    ['kills it', 'kill -s KILL $$'],
  ]
  test.each(acts)('that %s is no success and no failure of the command: it was not started', async (_name, act) => {
    const reached = await accountOf('/bin/bash', { '.bashrc': secondTime(act) })
    const { followed } = await toEnd(reached, noting('exit 0'))
    expect(followed).toMatchObject({
      kind: 'not_started',
      failure: { reason: 'channel_refused', detail: expect.stringContaining('before the command was reached') },
    })
    expect(await timesRun(reached)).toBe(0)
  })

  const replaced: Array<[string, string, string]> = [
    ['zsh', '.zshenv', secondTime('exec true')],
    ['fish', '.config/fish/config.fish', 'if set -q ONCE; exec true; end; set -gx ONCE 1\n'],
    ['tcsh', '.tcshrc', 'if ($?ONCE) exec true\nsetenv ONCE 1\n'],
  ]
  test.skipIf(missing('zsh', 'fish', 'tcsh')).each(replaced)(
    'that replaces %s is reported as that',
    async (name, file, line) => {
      const program = findProgram(name) ?? ''
      const reached = await accountOf(program, { [file]: line })
      const { followed } = await toEnd(reached, noting('exit 0'))
      expect(followed).toMatchObject({ kind: 'not_started', failure: { reason: 'channel_refused' } })
      expect(await timesRun(reached)).toBe(0)
    },
  )

  test('that hangs is ended by the time limit, which says that the command was not reached', async () => {
    const reached = await accountOf('/bin/bash', { '.bashrc': secondTime('sleep 60') })
    const durable = newRun()
    const followed = await follow(reached.connection, durable, noting('exit 0'), {
      limits: { execTimeoutMs: 700, killGraceMs: 200 },
    })
    const end = told(durable, followed)
    expect(end).toMatchObject({ state: 'timed_out', detail: expect.stringContaining('had not come to the command') })
    expect(await timesRun(reached)).toBe(0)
  })
})
