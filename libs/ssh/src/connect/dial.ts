/**
 * Reaching a host: TCP (or a forward through its jump host), handshake, host key, log-in, all under one deadline.
 *
 *   look-up of its address → TCP connection → SSH handshake (host key verified) → log-in → ready → closed
 *
 * No connection is made without verifying the host key. Every failure is a value with a reason, and nothing a host does
 * or fails to do makes it wait beyond the deadline. Does not run commands (exec.ts) and keeps no connections for later
 * (pool.ts).
 */
import type { LookupAddress } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { causeOfAbort, type Failure, failure } from '../verdict/failure.ts'
import { atHost, type ConnectResult, refused, type SshConnection, type SshHost, where } from './connection.ts'
import { openForward } from './forward.ts'
import { refuseUnlisted } from './host-verification.ts'
import type { KnownHostsSource } from './known-hosts.ts'
import { type LogInOptions, logIn, type Route } from './log-in.ts'
import { LookUps } from './look-ups.ts'
import { connectForPackets } from './packet-socket.ts'
import { openProxy } from './proxy-program.ts'

/** How to connect. */
export type ConnectOptions = Pick<LogInOptions, 'keepaliveMs'> & {
  readonly knownHosts: KnownHostsSource
  /** For everything together, from the look-up of the address to the log-in. */
  readonly timeoutMs: number
  /** Gives up. The reason is `job_timeout` where the abort has that reason, else `cancelled_by_user`. */
  readonly signal: AbortSignal
}

/** What a dial needs. `onPhase` is told from the look-up on. */
export type DialOptions = LogInOptions & { readonly lookUps: LookUps }

/** Node gives up an address after 250 ms when a name has several; some networks take longer than that. */
const NEXT_ADDRESS_MS = 2_000

/** Connects and logs in to a host. */
export async function connect(host: SshHost, options: ConnectOptions): Promise<ConnectResult> {
  const dial = new AbortController()
  const timer = setTimeout(() => dial.abort(), options.timeoutMs)
  const onAbort = () => dial.abort()
  options.signal.addEventListener('abort', onAbort)
  if (options.signal.aborted) dial.abort()
  const lookUps = new LookUps()
  try {
    const { knownHosts, keepaliveMs } = options
    const result = await reach(host, { knownHosts, lookUps, signal: dial.signal, keepaliveMs })
    if (result.ok || !dial.signal.aborted) return result
    if (options.signal.aborted) {
      return refused(failure(causeOfAbort(options.signal), `stopped before ${host.name} was reached`))
    }
    return { ...result, detail: `${result.detail} (limit ${options.timeoutMs / 1_000} s)` }
  } finally {
    lookUps.close()
    clearTimeout(timer)
    options.signal.removeEventListener('abort', onAbort)
  }
}

async function reach(
  host: SshHost,
  given: Omit<DialOptions, 'known'> & Pick<ConnectOptions, 'knownHosts'>,
): Promise<ConnectResult> {
  const options = { ...given, known: await given.knownHosts.read(host.knownHostsFiles) }
  if (host.jump === undefined) return await dial(host, undefined, options)
  const hop = await reach(host.jump, options)
  return hop.ok ? await dial(host, hop.connection, options) : refused(jumpFailure(host.jump, hop))
}

/**
 * Connects and logs in to a host, through the connection to its jump host where it has one. The connection to the jump
 * host is closed when the new one ends, or cannot be made. A host shows one of its keys: where another one is pinned,
 * it is asked for the others, too.
 */
export async function dial(
  host: SshHost,
  hop: SshConnection | undefined,
  options: DialOptions,
): Promise<ConnectResult> {
  if (host.pinnedKey === undefined) return await dialOnce(host, hop, options)
  let isOver = false
  const held = hop && { ...hop, close: () => (isOver ? hop.close() : undefined) }
  const seen: string[] = []
  let result = await dialOnce(host, held, options)
  const first = result
  while (!result.ok && result.otherHostKeys !== undefined && !options.signal.aborted) {
    result = await dialOnce({ ...host, hostKeys: result.otherHostKeys }, held, options)
    if (!result.ok && typeof result.reached?.host_key === 'string') seen.push(result.reached.host_key)
  }
  isOver = true
  if (result.ok) {
    if (!result.connection.isOpen()) hop?.close()
    return result
  }
  hop?.close()
  const isNone = !first.ok && first.reason === result.reason && seen.length > 0
  return isNone ? { ...result, detail: `${first.detail}; its other keys are ${seen.join(', ')}` } : result
}

async function dialOnce(host: SshHost, hop: SshConnection | undefined, options: DialOptions): Promise<ConnectResult> {
  if (hop !== undefined) return await dialThrough(hop, host, options)
  return host.proxy === undefined ? await dialDirectly(host, options) : await dialByProgram(host, host.proxy, options)
}

/** Why a host cannot be reached whose jump host was not reached. */
export function jumpFailure(jump: SshHost, { reason, detail, isRetryable }: Failure): Failure {
  return failure('jump_failed', `jump host ${jump.name}: ${reason}: ${detail}`, { isRetryable })
}

async function dialDirectly(host: SshHost, options: DialOptions): Promise<ConnectResult> {
  options.onPhase?.('the look-up of its address')
  const found = isIP(host.address) === 0 ? await options.lookUps.find(host.address, options.signal) : undefined
  if (found !== undefined && 'failure' in found) return refused(atHost(host, found.failure))
  const addresses = found?.addresses.filter(({ address }) => host.refusesAddress?.(address) === undefined)
  const tried = found?.addresses[0]?.address ?? host.address
  const isRefused = addresses === undefined || addresses.length === 0
  const refusal = isRefused ? host.refusesAddress?.(tried) : undefined
  if (refusal !== undefined) return refused(failure('policy_denied', refusal))
  // The socket is opened to what was checked: the name is not looked up again.
  return await logIn(host, openSocket(host, addresses), options)
}

async function dialByProgram(
  host: SshHost,
  proxy: NonNullable<SshHost['proxy']>,
  options: DialOptions,
): Promise<ConnectResult> {
  const route = openProxy(proxy)
  const result = await logIn(host, route, options)
  // A host that has shown its key was reached; what is wrong since then is between it and us.
  if (result.ok || typeof result.reached?.host_key === 'string' || options.signal.aborted) return result
  const end = await route.end()
  return end === undefined ? result : refused(atHost(host, failure('jump_failed', end)))
}

/** Connects to the first address that answers, of those found for its name. */
function openSocket({ address, port }: SshHost, found: LookupAddress[] = []): Route {
  const lookup: LookupFunction = (_name, _options, done) => process.nextTick(done, null, found)
  const timing = { autoSelectFamily: true, autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_MS }
  const stream = connectForPackets({ host: address, port, ...timing, lookup })
  return { stream, address: () => stream.remoteAddress ?? null, destroy: () => stream.destroy() }
}

async function dialThrough(hop: SshConnection, host: SshHost, options: DialOptions): Promise<ConnectResult> {
  const isName = isIP(host.address) === 0
  const unlisted = host.mustBeListed === true && isName ? refuseUnlisted(host, options.known) : undefined
  if (unlisted !== undefined) {
    hop.close()
    return refused(atHost(host, unlisted))
  }
  const forward = await openForward(hop.client, host, options.signal)
  if ('failure' in forward) {
    hop.close()
    const detail = `jump host ${hop.hostName} did not connect to ${where(host)}: ${forward.failure}`
    return refused(failure('jump_failed', detail, forward))
  }
  const { stream } = forward
  const destroy = () => {
    stream.destroy()
    hop.close()
  }
  const address = () => (isName ? null : host.address)
  const result = await logIn(host, { stream, address, destroy }, options)
  if (!result.ok) return result
  const notices = [hop.notice, result.connection.notice].filter((notice) => notice !== undefined)
  const notice = notices.length === 0 ? {} : { notice: notices.join('; ') }
  return { ok: true, connection: { ...result.connection, hop, ...notice } }
}
