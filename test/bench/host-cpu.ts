/**
 * What a run costs on its host, shell by shell: CPU time of the daemon's session and of everything below it, beside a
 * bare
 * `ssh host command` over the same connection. Rounds are interleaved. The watchdog, which nobody waits for, is out.
 */

import { readFile } from 'node:fs/promises'
import { Closers } from '@muster/runtime'
import { connect, exec, fixedKnownHosts, type SshConnection } from '@muster/ssh'
import { findProgram } from '../support/runtime/programs.ts'
import { CAN_MAKE_ACCOUNTS, makeAccount } from '../support/ssh/account.ts'
import { plainExec } from '../support/ssh/plain-exec.ts'
import { startSshd } from '../support/ssh/sshd.ts'
import { treeCpuMs } from './process-cost.ts'
import { figure, say, table } from './table.ts'

const SHELLS = ['bash', 'dash', 'zsh', 'ksh93', 'mksh', 'fish', 'tcsh']
const COMMAND = 'echo hi'
const RUNS = 150
const ROUNDS = 3
const LIMITS = { execTimeoutMs: 30_000, killGraceMs: 1_000, outputLimitBytes: 65_536 }

/** Prints its part of the table. */
export async function benchHostCpu(): Promise<void> {
  const row = table(`A run on its host: CPU per \`${COMMAND}\``, ['shell', 'bare', 'run', 'ratio'])
  if (!CAN_MAKE_ACCOUNTS) return row('only root can make accounts with other shells')
  const closers = new Closers(say)
  try {
    const sshd = await startSshd()
    closers.add('sshd', () => sshd.close(), 30_000)
    const { port, keys, knownHosts } = sshd.facts
    const credentials = [{ kind: 'key' as const, pem: await readFile(keys.ed25519), source: keys.ed25519 }]
    for (const name of SHELLS) {
      const shell = findProgram(name)
      if (shell === undefined) continue
      const account = await makeAccount(shell, { '.hushlogin': '' })
      closers.add(`account for ${name}`, account.close)
      const { signal } = new AbortController()
      const reached = await connect(
        { name, address: '127.0.1.1', port, user: account.user, credentials },
        { knownHosts: fixedKnownHosts(knownHosts), timeoutMs: 10_000, signal },
      )
      if (!reached.ok) throw new Error(`${name}: ${reached.detail}`)
      closers.add(`connection for ${name}`, () => reached.connection.close())
      const [bare, run]: [number[], number[]] = [[], []]
      for (let round = 0; round < ROUNDS; round += 1) {
        bare.push(await costOf(sshd.facts.pid, () => runBare(reached.connection)))
        run.push(await costOf(sshd.facts.pid, () => runWhole(reached.connection)))
      }
      const ratio = run.reduce((sum, ms) => sum + ms, 0) / bare.reduce((sum, ms) => sum + ms, 0)
      row(name, figure(bare, 'ms'), figure(run, 'ms'), `${ratio.toFixed(2)} ×`)
    }
  } finally {
    await closers.close()
  }
}

async function costOf(pid: number, once: () => Promise<void>): Promise<number> {
  const before = await treeCpuMs(pid)
  for (let i = 0; i < RUNS; i += 1) await once()
  return ((await treeCpuMs(pid)) - before) / RUNS
}

async function runBare(connection: SshConnection): Promise<void> {
  const { exitCode } = await plainExec(connection, COMMAND)
  if (exitCode !== 0) throw new Error(`exit status ${exitCode}`)
}

async function runWhole(connection: SshConnection): Promise<void> {
  const { signal } = new AbortController()
  const end = await exec(connection, { form: { command: COMMAND } }, { ...LIMITS, signal, onOutput: () => {} })
  if (end.state !== 'succeeded') throw new Error(`${end.state} ${end.detail}`)
}
