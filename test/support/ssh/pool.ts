/** Short ways to a pool of connections to the test daemon, for the tests of libs/ssh. */
import {
  type Checkout,
  checkOutAndOpen,
  fixedKnownHosts,
  openPool,
  type Pool,
  readyCommand,
  type SshHost,
  sendCommand,
} from '@muster/ssh'
import { inject, onTestFinished } from 'vitest'
import type { KnownHostsSource } from '../../../libs/ssh/src/connect/known-hosts.ts'
import type { PoolOptions } from '../../../libs/ssh/src/pool/pool.ts'
import { run } from './ssh.ts'

/** A pool that trusts the test daemon unless told otherwise; closed at the end of the test. */
export function testPool(options: Partial<PoolOptions> & { knownHosts?: KnownHostsSource } = {}): Pool {
  const pool = openPool({ knownHosts: fixedKnownHosts(inject('sshd').knownHosts), ...options })
  onTestFinished(() => pool.close())
  return pool
}

type Timing = { timeoutMs: number; signal: AbortSignal; fairKey: string }

/** How to wait for a checkout, as tests mostly do. */
export function timing(changes: Partial<Timing> = {}): Timing {
  return { timeoutMs: 15_000, signal: new AbortController().signal, fairKey: 'job', ...changes }
}

/** A checkout on a host that can be reached. */
export async function checkoutOf(pool: Pool, host: SshHost, changes: Partial<Timing> = {}): Promise<Checkout> {
  const checkedOut = await pool.checkOut(host, timing(changes))
  if (!checkedOut.ok) throw new Error(`${checkedOut.reason}: ${checkedOut.detail}`)
  return checkedOut.checkout
}

/** Which TCP connection a checkout goes over, in the words of the host. */
export async function lineOf(checkout: Checkout): Promise<string> {
  return (await run(checkout.connection, 'echo "$SSH_CONNECTION"')).out.trim()
}

/** Runs a command as a worker does: on a warm connection where there is one, else on a new one. */
export async function runOnPool(
  pool: Pool,
  host: SshHost,
  command: string,
  changes: Partial<Timing> = {},
): Promise<{ readonly out: string; readonly state: string }> {
  const limits = { execTimeoutMs: 20_000, killGraceMs: 200 }
  const reached = await checkOutAndOpen(pool, host, timing(changes), ({ connection }, signal) =>
    readyCommand(connection, { form: { command } }, { ...limits, signal }),
  )
  if (!reached.ok) return { out: reached.detail, state: reached.reason }
  const pieces: Buffer[] = []
  const end = await sendCommand(reached.opened, {
    ...limits,
    outputLimitBytes: 1024 * 1024,
    signal: timing(changes).signal,
    onOutput: (stream, bytes) => {
      if (stream === 'stdout') pieces.push(Buffer.from(bytes))
    },
  })
  reached.checkout.release()
  return { out: Buffer.concat(pieces).toString().trim(), state: end.state }
}
