/**
 * A dropbear daemon on a free port of loopback, for accounts that log in with the test daemon's ordinary key. Unlike
 * OpenSSH it gives a command no process group of its own. Only root can let other accounts in.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from '@muster/runtime'
import { fixedKnownHosts } from '@muster/ssh'
import type { KnownHostsSource } from '../../../libs/ssh/src/connect/known-hosts.ts'
import { endWithUs } from '../runtime/end-with-us.ts'
import type { Account } from './account.ts'
import { writeAccountFile } from './account.ts'
import { descendantsOf, type SshdFacts } from './sshd.ts'

/** A daemon that runs. */
export type Dropbear = {
  readonly port: number
  readonly knownHosts: KnownHostsSource
  /** Ends it and everything that runs below it. */
  close(): Promise<void>
}

const run = promisify(execFile)

/** Starts it. */
export async function startDropbear(): Promise<Dropbear> {
  const dir = await mkdtemp(join(tmpdir(), 'muster-dropbear-'))
  const key = join(dir, 'key')
  const { stdout } = await run('dropbearkey', ['-t', 'ed25519', '-f', key])
  const publicKey = /^ssh-ed25519 \S+/m.exec(stdout)?.[0] ?? ''
  const port = await freePort()
  // -F: stays in the foreground; -E: complains on stderr.
  const daemon = spawn('dropbear', ['-F', '-E', '-p', `127.0.0.1:${port}`, '-r', key, '-P', join(dir, 'pid')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  endWithUs(daemon)
  const close = async () => {
    await endTree(daemon)
    await rm(dir, { recursive: true, force: true })
  }
  let said = ''
  try {
    // It says so once it listens.
    for await (const text of daemon.stderr) {
      said += String(text)
      if (said.includes('Not backgrounding')) break
    }
  } catch (error) {
    await close()
    throw error
  }
  return { port, knownHosts: fixedKnownHosts(`[127.0.0.1]:${port} ${publicKey}\n`), close }
}

/** Lets an account in with the ordinary key. */
export async function letIn(account: Account, { keys }: SshdFacts): Promise<void> {
  const publicKey = await readFile(`${keys.ed25519}.pub`, 'utf8')
  await writeAccountFile(account, '.ssh/authorized_keys', publicKey)
}

async function endTree(daemon: ChildProcess): Promise<void> {
  const { pid } = daemon
  if (pid === undefined || daemon.exitCode !== null || daemon.signalCode !== null) return
  const ended = once(daemon, 'exit')
  for (const one of [...(await descendantsOf(pid)), pid]) {
    try {
      process.kill(one, 'SIGKILL')
    } catch {
      // It has ended meanwhile.
    }
  }
  await ended
}
