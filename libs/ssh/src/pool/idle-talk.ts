/**
 * Watches what a host says on a connection that nobody uses. Little is allowed: that it lives, which keys it has, that
 * a channel is closed, and a new exchange of keys. A host that says anything else is broken or hostile, and the
 * connection is better closed before the next command is sent there.
 */
import type { Client } from 'ssh2'
import { watchMessage } from '../connect/messages.ts'

/** Messages about a channel; they begin with its number. */
const OF_CHANNELS = ['DATA', 'EXTENDED_DATA', 'REQUEST', 'WINDOW_ADJUST', 'EOF', 'CLOSE', 'SUCCESS', 'FAILURE']
/** OpenSSH names its host keys after the log-in; several servers ask whether we live. */
const WELCOME_REQUEST = /^(hostkeys-00@|keep-?alive@)/
/** A question each second for 15 minutes, with room to spare; more is not a sign of life. */
const IDLE_LIMIT_BYTES = 262_144

/** Calls `onTalk` when the host says something that is not allowed while `isIdle`. */
export function watchIdleTalk(client: Client, isIdle: () => boolean, onTalk: () => void): void {
  const orTalk = (isWelcome: boolean) => {
    if (!isWelcome) onTalk()
    return isWelcome
  }
  watchMessage(client, 'CHANNEL_OPEN', () => orTalk(!isIdle()))
  watchMessage(client, 'GLOBAL_REQUEST', (name) => orTalk(!isIdle() || WELCOME_REQUEST.test(String(name))))
  for (const name of OF_CHANNELS) {
    // The last messages of a channel that we have closed may still be on their way.
    watchMessage(client, `CHANNEL_${name}`, (channel) => orTalk(!isIdle() || hasChannel(client, channel)))
  }
  let idleBytes = 0
  const socket: unknown = Reflect.get(client, '_sock')
  if (!isStream(socket)) throw new Error('ssh2 keeps its socket elsewhere now')
  socket.on('data', (bytes) => {
    idleBytes = isIdle() ? idleBytes + bytes.length : 0
    if (idleBytes > IDLE_LIMIT_BYTES) onTalk()
  })
}

function hasChannel(client: Client, number: unknown): boolean {
  const channels: unknown = Reflect.get(client, '_chanMgr')
  const get: unknown = typeof channels === 'object' && channels !== null ? Reflect.get(channels, 'get') : undefined
  if (typeof get !== 'function') throw new Error('ssh2 keeps its channels elsewhere now')
  return Reflect.apply(get, channels, [number]) !== undefined
}

function isStream(value: unknown): value is { on(event: 'data', told: (bytes: Buffer) => void): void } {
  return typeof value === 'object' && value !== null && 'on' in value && typeof value.on === 'function'
}
