/**
 * dropbear gives a command no process group of its own: Muster makes one, so that a stop is confirmed and takes the
 * command's children along, and nothing else of the server.
 */
import { chmodSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { processesOf } from '../../../support/runtime/processes.ts'
import { findProgram } from '../../../support/runtime/programs.ts'
import { type Account, CAN_MAKE_ACCOUNTS, makeAccount } from '../../../support/ssh/account.ts'
import { type Dropbear, letIn, startDropbear } from '../../../support/ssh/dropbear.ts'
import { plainExec } from '../../../support/ssh/plain-exec.ts'
import { reach, run, sshdHost } from '../../../support/ssh/ssh.ts'

// The ash of busybox, which is what it is by its name.
const dir = mkdtempSync(join(tmpdir(), 'muster-ash-'))
chmodSync(dir, 0o755)
afterAll(() => rmSync(dir, { recursive: true }))
const busybox = findProgram('busybox')
const ASH = busybox && join(dir, 'ash')
if (busybox !== undefined && ASH !== undefined) symlinkSync(busybox, ASH)

const CAN_RUN = CAN_MAKE_ACCOUNTS && findProgram('dropbear') !== undefined
let server: Dropbear
beforeAll(async () => {
  if (CAN_RUN) server = await startDropbear()
})
afterAll(() => server?.close())

async function reachAs(account: Account) {
  await letIn(account, inject('sshd'))
  const host = sshdHost({ address: '127.0.0.1', port: server.port, user: account.user })
  return await reach(host, { knownHosts: server.knownHosts })
}

describe.each(['bash', 'zsh', 'dash', 'ksh93', 'mksh', 'fish', 'tcsh', 'ash'])(
  'on dropbear, with the shell %s,',
  (name) => {
    const shell = name === 'ash' ? ASH : findProgram(name)
    const asRoot = test.skipIf(!CAN_RUN || shell === undefined)
    const start = async () => {
      const account = await makeAccount(shell ?? '', { '.bashrc': 'ours() { echo ours; }\n' })
      onTestFinished(account.close)
      return { account, connection: await reachAs(account) }
    }

    asRoot('a command ends as it does by ssh', async () => {
      const { connection } = await start()
      for (const command of ['echo out; exit 3', 'true', "sh -c 'exit 9'"]) {
        const { exitCode, out } = await run(connection, command)
        expect({ exitCode, out }).toMatchObject(
          (({ exitCode, out }) => ({ exitCode, out }))(await plainExec(connection, command)),
        )
      }
      const script = { form: { script: '#!/bin/sh\ncat; echo "$1"; exit 4\n', args: ['x'] }, stdin: 'in\n' }
      expect(await run(connection, script)).toMatchObject({ exitCode: 4, out: 'in\nx\n' })
    })

    asRoot('a stop is confirmed, its children are gone, and a neighbour lives on', async () => {
      const { account, connection } = await start()
      const neighbour = run(connection, 'sleep 4; echo alive')
      const command = `sh -c 'trap "" TERM; sleep 77 & sleep 77'`
      for (const form of [{ command }, { argv: ['sh', '-c', 'trap "" TERM; sleep 77 & sleep 77'] }]) {
        const end = await run(connection, { form }, { execTimeoutMs: 1_000 })
        expect(end).toMatchObject({ state: 'timed_out', reason: 'exec_timeout', remote: 'ended' })
      }
      expect((await processesOf(account.user)).filter((line) => line.includes('sleep 77'))).toEqual([])
      expect(await neighbour).toMatchObject({ state: 'succeeded', out: 'alive\n' })
    })
  },
)

test.skipIf(!CAN_RUN)(
  'on dropbear bash keeps the functions of its start-up files, and prints nothing of the kill',
  async () => {
    const account = await makeAccount('/bin/bash', { '.bashrc': 'ours() { echo ours; }\n' })
    onTestFinished(account.close)
    const connection = await reachAs(account)
    // dropbear sets no SSH_CLIENT that bash would read .bashrc for in every version: what ssh gives is the measure.
    const plain = await plainExec(connection, 'ours')
    const end = await run(connection, 'ours')
    expect([end.exitCode, end.out]).toEqual([plain.exitCode, plain.out])
    const killed = await run(connection, 'echo begun; sleep 77; echo secret', { execTimeoutMs: 1_000 })
    expect(killed).toMatchObject({ state: 'timed_out', out: 'begun\n', err: '' })
  },
)

test.skipIf(!CAN_RUN)('on dropbear a command that kills the bash around it is lost, as it may run on', async () => {
  const account = await makeAccount('/bin/bash')
  onTestFinished(account.close)
  const end = await run(await reachAs(account), 'kill -9 $$; sleep 2')
  expect(end).toMatchObject({ state: 'lost', reason: 'conn_lost', remote: 'unknown', exitCode: null, signal: null })
})
