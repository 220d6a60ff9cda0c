/**
 * Lets servers that live for one request ask their client something while they work.
 *
 * The endpoint gives every POST a server of its own, and a client of revision 2025-11-25 sends its answer in a POST of
 * its own: the answer arrives at another server than the one that asked. So the servers of the fixture share one table
 * of what they asked. The product asks its clients nothing and has no such table.
 */
import type { Transport, TransportSendOptions } from '@modelcontextprotocol/sdk/shared/transport.js'
import {
  isJSONRPCErrorResponse,
  isJSONRPCRequest,
  isJSONRPCResultResponse,
  type JSONRPCMessage,
  type MessageExtraInfo,
} from '@modelcontextprotocol/sdk/types.js'

type Asked = { readonly id: string | number; readonly by: SharedAnswersTransport }

/** Who asked what, by the ID under which it went to the client. */
export class AskedTable {
  readonly #asked = new Map<string | number, Asked>()
  #count = 0

  /** Notes who asked; answers the ID under which to ask. Servers count from 0, all of them. */
  add(asked: Asked): string {
    this.#count += 1
    const id = `asked-${this.#count}`
    this.#asked.set(id, asked)
    return id
  }

  /** Who asked that, once. */
  take(id: string | number): Asked | undefined {
    const asked = this.#asked.get(id)
    this.#asked.delete(id)
    return asked
  }

  /** Forgets what this one asked and got no answer to. */
  forget(by: SharedAnswersTransport): void {
    for (const [id, asked] of this.#asked) if (asked.by === by) this.#asked.delete(id)
  }
}

/** A transport that gives answers to whichever server asked. All else goes through as it is. */
export class SharedAnswersTransport implements Transport {
  onclose?: () => void
  onerror?: (error: Error) => void
  onmessage?: <T extends JSONRPCMessage>(message: T, extra?: MessageExtraInfo) => void
  readonly #inner: Transport
  readonly #table: AskedTable

  constructor(inner: Transport, table: AskedTable) {
    this.#inner = inner
    this.#table = table
  }

  async start(): Promise<void> {
    this.#inner.onclose = () => {
      this.#table.forget(this)
      this.onclose?.()
    }
    this.#inner.onerror = (error) => this.onerror?.(error)
    this.#inner.onmessage = (message, extra) => this.#receive(message, extra)
    await this.#inner.start()
  }

  async send(message: JSONRPCMessage, options?: TransportSendOptions): Promise<void> {
    const outgoing = isJSONRPCRequest(message)
      ? { ...message, id: this.#table.add({ id: message.id, by: this }) }
      : message
    await this.#inner.send(outgoing, options)
  }

  async close(): Promise<void> {
    await this.#inner.close()
  }

  #receive(message: JSONRPCMessage, extra: MessageExtraInfo | undefined): void {
    const isAnswer = isJSONRPCResultResponse(message) || isJSONRPCErrorResponse(message)
    const asked = isAnswer && message.id !== undefined ? this.#table.take(message.id) : undefined
    if (asked === undefined) this.onmessage?.(message, extra)
    else asked.by.onmessage?.({ ...message, id: asked.id }, extra)
  }
}
