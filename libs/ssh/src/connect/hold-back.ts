/**
 * Holds back a host's first words until somebody is ready for them. Writes go out meanwhile, so that a host which waits
 * for our greeting before it sends its own gets it. Reads nothing itself.
 */
import type { Duplex } from 'node:stream'

/**
 * Holds back the stream's data from its listeners. When the first data has come, or the end of the stream, the step is
 * taken; when the step is over, the data goes through. Never resolves for a stream that stays silent. Rejects with an
 * error of the step. Call it before anybody listens.
 */
export function holdBack(stream: Duplex, step: () => Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    let isTaken = false
    // As long as somebody listens for this event, Node emits no data.
    const onReadable = () => {
      if (isTaken) return
      isTaken = true
      step()
        .then(resolve, reject)
        .finally(() => stream.off('readable', onReadable))
    }
    stream.on('readable', onReadable)
  })
}
