/**
 * Looking at the messages of a host where ssh2 has no event for them. ssh2's own table is what is wrapped, so the version
 * is pinned; should its fields be renamed, these functions throw, and no connection is made at all.
 */
import type { Client } from 'ssh2'

type Handler = (...args: unknown[]) => unknown

/**
 * Has a message go by `look` first: what it says, without ssh2's own first argument. It is acted upon only when `look`
 * gives true.
 */
export function watchMessage(client: Client, name: string, look: (...said: readonly unknown[]) => boolean): void {
  const handlers = fieldsOf(Reflect.get(fieldsOf(Reflect.get(client, '_protocol')), '_handlers'))
  const handle: unknown = Reflect.get(handlers, name)
  if (!isHandler(handle)) throw new Error(`ssh2 has no handler for ${name} any more`)
  Reflect.set(handlers, name, (protocol: unknown, ...said: unknown[]) => {
    if (look(...said)) handle(protocol, ...said)
  })
}

function fieldsOf(value: unknown): object {
  if (typeof value !== 'object' || value === null) throw new Error('ssh2 keeps its protocol elsewhere now')
  return value
}

function isHandler(value: unknown): value is Handler {
  return typeof value === 'function'
}
