/** Short ways to reach the test daemon and to run something there, for the tests of libs/ssh. */
import { readFileSync } from 'node:fs'
import {
  type Credential,
  connect,
  type ExecEnd,
  type ExecOptions,
  exec,
  fixedKnownHosts,
  type RemoteCommand,
  type SshConnection,
  type SshHost,
} from '@muster/ssh'
import { inject, onTestFinished } from 'vitest'
import type { ConnectResult } from '../../../libs/ssh/src/connect/connection.ts'
import type { KnownHostsSource } from '../../../libs/ssh/src/connect/known-hosts.ts'
import { startRelay } from './relay.ts'
import { type SshdFacts, startSshd } from './sshd.ts'

/** A key file as a credential. */
export function keyFile(source: string, passphrase?: string): Extract<Credential, { kind: 'key' }> {
  return { kind: 'key', pem: readFileSync(source), source, ...(passphrase === undefined ? {} : { passphrase }) }
}

/** A host of the test daemon, or of one of the test's own, to be logged in to with its ordinary key. */
export function sshdHost(changes: Partial<SshHost> = {}, facts: SshdFacts = inject('sshd')): SshHost {
  const { port, user, keys } = facts
  return { name: 'web1', address: '127.0.1.1', port, user, credentials: [keyFile(keys.ed25519)], ...changes }
}

/** Tries to reach a host, with the keys of the test daemon unless told otherwise. */
export function dial(
  host: SshHost,
  options: { knownHosts?: KnownHostsSource; timeoutMs?: number; signal?: AbortSignal; keepaliveMs?: number } = {},
): Promise<ConnectResult> {
  const knownHosts = options.knownHosts ?? fixedKnownHosts(inject('sshd').knownHosts, 'test known hosts')
  const signal = options.signal ?? new AbortController().signal
  return connect(host, { timeoutMs: 10_000, ...options, knownHosts, signal })
}

/** A connection to a host that can be reached; closed at the end of the test. */
export async function reach(
  host: SshHost = sshdHost(),
  options: Parameters<typeof dial>[1] = {},
): Promise<SshConnection> {
  const result = await dial(host, options)
  if (!result.ok) throw new Error(`${result.reason}: ${result.detail}`)
  onTestFinished(() => result.connection.close())
  return result.connection
}

/** A daemon of the test's own, with these settings; and a connection to it. */
export async function reachOwnSshd(settings: readonly string[] = [], options: Parameters<typeof dial>[1] = {}) {
  const own = await startSshd(settings)
  onTestFinished(() => own.close())
  const { facts } = own
  const connection = await reach(sshdHost({}, facts), { ...options, knownHosts: fixedKnownHosts(facts.knownHosts) })
  return { facts, connection }
}

/** A connection to a daemon over a line that can be cut. */
export async function reachOverRelay(facts: SshdFacts = inject('sshd')) {
  const relay = await startRelay(facts.port)
  const knownHosts = fixedKnownHosts(facts.knownHosts.replaceAll(`:${facts.port} `, `:${relay.port} `))
  const connection = await reach(sshdHost({ port: relay.port }, facts), { knownHosts })
  return { relay, connection }
}

/** A command's end with what was handed on of its output, and all that was kept of it as text. */
export type Told = ExecEnd & {
  readonly head: Record<'stdout' | 'stderr', Buffer>
  readonly out: string
  readonly err: string
}

/** Runs a command, or a shell text, to its end. */
export async function run(
  connection: SshConnection,
  command: RemoteCommand | string,
  options: Partial<ExecOptions> = {},
): Promise<Told> {
  const pieces: Record<'stdout' | 'stderr', Buffer[]> = { stdout: [], stderr: [] }
  const end = await exec(connection, typeof command === 'string' ? { form: { command } } : command, {
    execTimeoutMs: 20_000,
    killGraceMs: 200,
    outputLimitBytes: 1024 * 1024,
    signal: new AbortController().signal,
    ...options,
    onOutput: (stream, bytes) => {
      pieces[stream].push(Buffer.from(bytes))
      return options.onOutput?.(stream, bytes)
    },
  })
  const head = { stdout: Buffer.concat(pieces.stdout), stderr: Buffer.concat(pieces.stderr) }
  const out = Buffer.concat([head.stdout, end.stdout.tail]).toString()
  const err = Buffer.concat([head.stderr, end.stderr.tail]).toString()
  return { ...end, head, out, err }
}
