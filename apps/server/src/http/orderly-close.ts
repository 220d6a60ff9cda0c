/**
 * Closes the server in order: waiting calls answer at once with what is known, answers under way are sent, then all
 * connections are closed, including idle ones that never carried a request (browsers open some in advance).
 */
import type { FastifyInstance } from 'fastify'

/** How long answers under way may take to be sent. */
const ANSWER_MS = 2_000

/** Adds the order to the server's close. The returned signal aborts when closing begins. */
export function addOrderlyClose(app: FastifyInstance): AbortSignal {
  const closing = new AbortController()
  let underWay = 0
  let onQuiet = () => {}
  app.addHook('onRequest', async (_request, reply) => {
    underWay += 1
    reply.raw.once('close', () => {
      underWay -= 1
      if (underWay === 0) onQuiet()
    })
  })
  app.addHook('preClose', async () => {
    closing.abort(new Error('the server is closing'))
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ANSWER_MS)
      onQuiet = () => {
        clearTimeout(timer)
        resolve()
      }
      if (underWay === 0) onQuiet()
    })
    app.server.closeAllConnections()
  })
  return closing.signal
}
