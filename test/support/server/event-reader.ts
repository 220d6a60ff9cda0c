/** Reads server-sent events in a test as a client would: over real HTTP, block by block. */
import { JobEvent } from '@muster/contract'
import { onTestFinished } from 'vitest'

/** One block of the stream, with its fields as they were sent. */
export type Block = { readonly id: string | undefined; readonly event: JobEvent }

/** A stream of events that was opened. */
export type EventReader = {
  readonly status: number
  readonly headers: Headers
  /** The body when the answer is no stream. */
  readonly body: unknown
  /** The next event; undefined when the stream has closed. Rejects when it was cut. */
  next(): Promise<Block | undefined>
  /** All that is left, to the close of the stream. */
  rest(): Promise<Block[]>
  close(): void
}

/** Opens a stream; it is closed when the test ends. */
export async function openEvents(
  server: { readonly url: string; readonly apiKey: string },
  path: string,
  headers: Record<string, string> = {},
): Promise<EventReader> {
  const gone = new AbortController()
  onTestFinished(() => gone.abort())
  const response = await fetch(server.url + path, {
    headers: { authorization: `Bearer ${server.apiKey}`, ...headers },
    signal: gone.signal,
  })
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true
  const body: unknown = isStream ? undefined : await response.json()
  const blocks = isStream && response.body !== null ? readBlocks(response.body) : undefined
  const next = async () => (await blocks?.next())?.value ?? undefined
  return {
    status: response.status,
    headers: response.headers,
    body,
    next,
    rest: async () => {
      const left: Block[] = []
      for (let block = await next(); block !== undefined; block = await next()) left.push(block)
      return left
    },
    close: () => gone.abort(),
  }
}

async function* readBlocks(body: AsyncIterable<Uint8Array>): AsyncGenerator<Block, undefined> {
  let text = ''
  const decoder = new TextDecoder()
  for await (const bytes of body) {
    text += decoder.decode(bytes, { stream: true })
    for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
      const block = parse(text.slice(0, end))
      text = text.slice(end + 2)
      if (block !== undefined) yield block
    }
  }
}

function parse(text: string): Block | undefined {
  const fields = new Map(text.split('\n').map((line) => [line.split(':', 1)[0], line.slice(line.indexOf(':') + 2)]))
  const data = fields.get('data')
  if (data === undefined) return undefined
  return { id: fields.get('id'), event: JobEvent.parse({ event: fields.get('event'), data: JSON.parse(data) }) }
}
