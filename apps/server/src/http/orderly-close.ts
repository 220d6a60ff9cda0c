/**
 * How the server closes: waiting calls are told at once and answer with what is known, answers that are under way get
 * out, then connections end, also those on which nothing was ever asked (browsers open some in advance).
 */
import type { FastifyInstance } from 'fastify'

/** How long answers that are under way may take to get out. */
const ANSWER_MS = 2_000

/** Adds it to the server's close. The signal aborts when closing begins. */
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
