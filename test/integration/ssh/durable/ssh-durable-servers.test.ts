/** Durable commands under sudo, and on servers other than OpenSSH: the start is proven, and so is a stop. */
import { readFile } from 'node:fs/promises'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { findProgram } from '../../../support/runtime/programs.ts'
import { CAN_MAKE_ACCOUNTS, makeAccount } from '../../../support/ssh/account.ts'
import { letIn, startDropbear } from '../../../support/ssh/dropbear.ts'
import { follow, newRun, told, type Watched } from '../../../support/ssh/durable.ts'
import { reach, sshdHost } from '../../../support/ssh/ssh.ts'
import { CAN_MAKE_SUDOERS, makeSudoer } from '../../../support/ssh/sudoer.ts'

const STUBBORN = `trap '' TERM; sh -c 'trap "" TERM; echo "$$"; while :; do sleep 0.2; done'`

/** Whether the process whose number the command printed first is there. */
async function isAlive(out: string): Promise<boolean> {
  const stat = await readFile(`/proc/${Number(out.split('\n')[0])}/stat`, 'utf8').catch(() => '')
  return stat !== '' && !/\) [ZX] /.test(stat)
}

const hasDropbear = findProgram('dropbear') !== undefined && findProgram('dropbearkey') !== undefined
const SHELLS = ['bash', 'zsh', 'dash', 'ksh93', 'mksh', 'fish', 'tcsh'].map(
  (name) => [name, findProgram(name)] as const,
)

describe.skipIf(!CAN_MAKE_ACCOUNTS || !hasDropbear)('on dropbear', () => {
  async function reachDropbear(shell: string) {
    const dropbear = await startDropbear()
    onTestFinished(() => dropbear.close())
    const account = await makeAccount(shell)
    onTestFinished(() => account.close())
    await letIn(account, inject('sshd'))
    const host = sshdHost({ address: '127.0.0.1', port: dropbear.port, user: account.user })
    return await reach(host, { knownHosts: dropbear.knownHosts })
  }

  test.each(SHELLS.filter(([, program]) => program !== undefined))(
    'an account whose shell is %s has its true end, and a stop with all that ignores TERM is confirmed',
    async (_name, program) => {
      const connection = await reachDropbear(program ?? '')
      const durable = newRun()
      const end = told(durable, await follow(connection, durable, `sh -c 'echo out; echo err >&2; exit 3'`))
      expect(end).toMatchObject({ exitCode: 3, out: 'out\n', err: 'err\n' })

      const stopped = newRun()
      const cancel = new AbortController()
      const options = { signal: cancel.signal, onStarted: () => void setTimeout(() => cancel.abort(), 500) }
      const followed = await follow(connection, stopped, { form: { argv: ['sh', '-c', STUBBORN] } }, options)
      const cancelled = told(stopped, followed)
      expect(cancelled).toMatchObject({ state: 'cancelled', remote: 'ended', signal: 'KILL' })
      expect(await isAlive(cancelled.out)).toBe(false)
    },
  )
})

describe.skipIf(!CAN_MAKE_SUDOERS)('under sudo', () => {
  async function asRoot(shell = '/bin/sh') {
    const sudoer = await makeSudoer((user) => `${user} ALL=(ALL) NOPASSWD: ALL`, shell)
    onTestFinished(() => sudoer.close())
    const connection = await reach(sshdHost({ user: sudoer.user }))
    const durable: Watched = newRun({ sudo: { user: 'root' } })
    onTestFinished(async () => {
      await follow(connection, newRun({ sudo: { user: 'root' } }), `rm -rf /root/.muster-runs/${durable.runId}`)
    })
    return { connection, durable }
  }

  test('it runs once as the other user, and its true end is reported', async () => {
    const { connection, durable } = await asRoot()
    const end = told(durable, await follow(connection, durable, 'id -un; echo err >&2; exit 4'))
    expect(end).toMatchObject({ state: 'failed', exitCode: 4, out: 'root\n', err: 'err\n' })
  })

  test('a script has its arguments and a stdin of its own', async () => {
    const { connection, durable } = await asRoot()
    const form = { script: '#!/bin/sh\nid -un; echo "$1"; cat; cat >/dev/null; echo after\n', args: ['a b'] }
    const end = told(durable, await follow(connection, durable, { form, stdin: 'in\n' }))
    expect(end).toMatchObject({ state: 'succeeded', out: 'root\na b\nin\nafter\n' })
  })

  test.skipIf(findProgram('tlog-rec-session') === undefined)(
    'an account with a session recorder is no other',
    async () => {
      const { connection, durable } = await asRoot(findProgram('tlog-rec-session'))
      const end = told(durable, await follow(connection, durable, 'id -un; echo err >&2; exit 4'))
      expect(end).toMatchObject({ state: 'failed', exitCode: 4, out: 'root\n', err: 'err\n' })
    },
  )

  test('a stop is confirmed', async () => {
    const { connection, durable } = await asRoot()
    const cancel = new AbortController()
    const options = { signal: cancel.signal, onStarted: () => void setTimeout(() => cancel.abort(), 500) }
    const end = told(durable, await follow(connection, durable, { form: { argv: ['sh', '-c', STUBBORN] } }, options))
    expect(end).toMatchObject({ state: 'cancelled', remote: 'ended', signal: 'KILL' })
    expect(await isAlive(end.out)).toBe(false)
  })

  test('without leave to use it, nothing was sent', async () => {
    const account = await makeAccount('/bin/sh')
    onTestFinished(() => account.close())
    const connection = await reach(sshdHost({ user: account.user }))
    const durable = newRun({ sudo: { user: 'root' } })
    expect(await follow(connection, durable, 'true')).toMatchObject({ kind: 'not_started' })
    expect(durable.wasSent).toBe(false)
  })
})
