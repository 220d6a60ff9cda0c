/** Short ways to run durable commands on the test daemon, and to look at what is left of them. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import {
  type DurableEnd,
  DurableRun,
  type ExecEnd,
  followDurable,
  type RemoteCommand,
  type SshConnection,
} from '@muster/ssh'
import { inject, onTestFinished } from 'vitest'
import type { FollowOptions } from '../../../libs/ssh/src/durable/following.ts'
import { keyFile, reach, run, sshdHost } from './ssh.ts'

/** A durable run with the output that was handed on so far. */
export type Watched = DurableRun & { readonly head: Record<'stdout' | 'stderr', Buffer[]> }

/** Which run it is, and how; the secret is the same for everybody who follows runs of these tests. */
export type NewRun = Partial<Pick<DurableRun, 'runId' | 'sudo'>> & { readonly limitBytes?: number }

/** A durable run, which may be that of another worker; what it leaves on the host is removed at the end of the test. */
export function newRun({ limitBytes = 1024 * 1024, runId, sudo }: NewRun = {}): Watched {
  const head: Watched['head'] = { stdout: [], stderr: [] }
  const made = new DurableRun({
    runId: runId ?? `t-${randomBytes(6).toString('hex')}`,
    secret: 'the secret of the tests',
    outputLimitBytes: limitBytes,
    onOutput: (stream, bytes) => void head[stream].push(Buffer.from(bytes)),
    sudo,
  })
  onTestFinished(async () => {
    const connection = await reach()
    await run(connection, `rm -rf "$HOME/.muster-runs/${made.runId}"`)
    // The test has finished: what `reach` registers now is not called any more.
    connection.close()
  })
  return Object.assign(made, { head })
}

/** Follows a run over one connection; a text is a command, and undefined only looks for it. */
export function follow(
  connection: SshConnection,
  durable: DurableRun,
  command: RemoteCommand | string | undefined,
  options: Partial<FollowOptions> = {},
): Promise<DurableEnd> {
  return followDurable(connection, durable, {
    limits: { execTimeoutMs: 20_000, killGraceMs: 200 },
    signal: new AbortController().signal,
    ...options,
    command: typeof command === 'string' ? { form: { command } } : command,
  })
}

/** The end, with all that was kept of the output as text; fails when there is none. */
export function told(durable: Watched, followed: DurableEnd): ExecEnd & { readonly out: string; readonly err: string } {
  if (followed.kind !== 'ended') throw new Error(`no end, but ${JSON.stringify(followed)}`)
  const { end } = followed
  const text = (stream: 'stdout' | 'stderr') =>
    Buffer.concat([...durable.head[stream], end[stream].tail]).toString('latin1')
  return { ...end, out: text('stdout'), err: text('stderr') }
}

/** The directory of a run, as shell text. */
export function dirOf(durable: DurableRun): string {
  return `"$HOME/.muster-runs/${durable.runId}"`
}

/** What a shell text prints on the host, without the line end. */
export async function ask(text: string): Promise<string> {
  return (await run(await reach(), text)).out.trim()
}

/** A connection whose commands all begin with this shell text, as on a host that is set up so. */
export async function reachAfter(text: string): Promise<SshConnection> {
  const dir = await mkdtemp(join(tmpdir(), 'muster-key-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  const file = join(dir, 'key')
  await promisify(execFile)('ssh-keygen', ['-q', '-N', '', '-t', 'ed25519', '-f', file])
  const forced = `${text}; eval "$SSH_ORIGINAL_COMMAND"`.replaceAll('"', '\\"')
  await appendFile(inject('sshd').authorizedKeysFile, `command="${forced}" ${await readFile(`${file}.pub`, 'utf8')}`)
  return await reach(sshdHost({ credentials: [keyFile(file)] }))
}
