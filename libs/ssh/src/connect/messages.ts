/**
 * Reads messages of a host for which ssh2 has no event, by wrapping ssh2's own table of handlers. So the version of
 * ssh2 is pinned; should its fields be renamed, these functions throw, and no connection is made at all.
 */
import type { Client, ClientChannel } from 'ssh2'

type Handler = (...args: unknown[]) => unknown

/**
 * Passes each message of this name to `look` first, without ssh2's own first argument. ssh2 handles the message only if
 * `look` returns true.
 */
export function watchMessage(client: Client, name: string, look: (...said: readonly unknown[]) => boolean): void {
  const handlers = fieldsOf(Reflect.get(fieldsOf(Reflect.get(client, '_protocol')), '_handlers'))
  const handle: unknown = Reflect.get(handlers, name)
  if (!isHandler(handle)) throw new Error(`ssh2 has no handler for ${name} any more`)
  Reflect.set(handlers, name, (protocol: unknown, ...said: unknown[]) => {
    if (look(...said)) handle(protocol, ...said)
  })
}

/** Whether the host has said that nothing more comes on this channel. Ask before ssh2 ends it for another reason. */
export function hasSaidEnd(channel: ClientChannel): boolean {
  const state: unknown = Reflect.get(fieldsOf(Reflect.get(channel, 'incoming')), 'state')
  return state === 'eof' || state === 'closed'
}

/** The offers of algorithms that the two sides have sent, as messages; empty before that. */
export type Offers = { readonly ours: Buffer; readonly theirs: Buffer }

/** Keeps the offers of both sides, for when they turn out to have nothing in common. */
export function watchOffers(client: Client): () => Offers {
  let theirs: Buffer = Buffer.alloc(0)
  const protocol = fieldsOf(Reflect.get(client, '_protocol'))
  watchFirstMessage(protocol, (message) => {
    theirs = message
  })
  return () => {
    const ours: unknown = Reflect.get(protocol, '_kexinit')
    return { ours: ours instanceof Uint8Array ? Buffer.from(ours) : Buffer.alloc(0), theirs }
  }
}

function watchFirstMessage(protocol: object, look: (message: Buffer) => void): void {
  const onHeader: unknown = Reflect.get(protocol, '_onHeader')
  if (!isHandler(onHeader)) throw new Error('ssh2 has no handler for the banner any more')
  Reflect.set(protocol, '_onHeader', (...said: unknown[]) => {
    const decipher = fieldsOf(Reflect.get(protocol, '_decipher'))
    const onMessage: unknown = Reflect.get(decipher, '_onPayload')
    if (!isHandler(onMessage)) throw new Error('ssh2 has no handler for packets any more')
    Reflect.set(decipher, '_onPayload', (message: unknown, ...rest: unknown[]) => {
      Reflect.set(decipher, '_onPayload', onMessage)
      if (message instanceof Uint8Array) look(Buffer.from(message))
      return onMessage(message, ...rest)
    })
    return onHeader(...said)
  })
}

function fieldsOf(value: unknown): object {
  if (typeof value !== 'object' || value === null) throw new Error('ssh2 keeps its protocol elsewhere now')
  return value
}

function isHandler(value: unknown): value is Handler {
  return typeof value === 'function'
}
