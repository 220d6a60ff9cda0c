/**
 * Holds back what a host says until somebody is ready for it. What is written goes out meanwhile, so that a host which
 * waits for our greeting before it sends its own gets it. Reads nothing itself.
 */
import type { Duplex } from 'node:stream'

/**
 * Lets nothing of the stream through to those who listen for its data until it has something to say (its end is that
 * too), and the step that is then taken is over. A stream that never says anything keeps what waits for it waiting.
 * Rejects with a fault of the step. To be called before anybody listens.
 */
export function holdBack(stream: Duplex, step: () => Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    let isTaken = false
    // As long as somebody listens for this, Node gives out no data.
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
