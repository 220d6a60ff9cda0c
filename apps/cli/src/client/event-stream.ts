/** Reads server-sent events from the body of an answer. */
import { JobEvent } from '@muster/contract'

/**
 * The events in the order in which they arrive. Skips comments, and events that this version does not know. Ends with
 * the body, and throws what reading it throws. `onBytes` is called whenever anything arrives.
 */
export async function* readEvents(
  body: AsyncIterable<Uint8Array>,
  onBytes: () => void = () => {},
): AsyncGenerator<JobEvent> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const bytes of body) {
    onBytes()
    const blocks = (rest + decoder.decode(bytes, { stream: true })).split('\n\n')
    rest = blocks.pop() ?? ''
    for (const block of blocks) {
      const event = parseBlock(block)
      if (event !== undefined) yield event
    }
  }
}

function parseBlock(block: string): JobEvent | undefined {
  const fields = new Map<string, string>()
  for (const line of block.split('\n')) {
    const [, name = '', value = ''] = /^(\w+): ?(.*)$/.exec(line) ?? []
    fields.set(name, value)
  }
  const data = fields.get('data')
  if (data === undefined) return undefined
  return JobEvent.safeParse({ event: fields.get('event'), data: JSON.parse(data) }).data
}
