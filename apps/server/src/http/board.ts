/**
 * Bull Board at `/board`, to look at tickets. Read-only: whoever can add a ticket can have a run carried out.
 *
 * `authentication.ts` checks the key, as for every other route. The board shows the tickets of all owners, so the key
 * needs the scopes `jobs:all` and `jobs:read`. No command and no output is in a ticket.
 */
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { createBullBoard } from '@bull-board/api'
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import { FastifyAdapter } from '@bull-board/fastify'
import { requireScope } from '@muster/access'
import { MusterError, toProblem } from '@muster/contract'
import type { Ledger } from '@muster/ledger'
import type { Logger } from '@muster/runtime'
import type { FastifyInstance } from 'fastify'
import { addPageSecurity } from './page-security.ts'
import { sendProblem } from './problems.ts'

const BASE_PATH = '/board'

/** The page of the board, with its scripts. */
const PAGES = dirname(createRequire(import.meta.url).resolve('@bull-board/ui/package.json'))

/** Adds the board. Tickets hold IDs and titles, but no command and no output. */
export async function addBoard(app: FastifyInstance, ledger: Ledger, logger: Logger): Promise<void> {
  const serverAdapter = new FastifyAdapter()
  createBullBoard({
    queues: [
      new BullMQAdapter(ledger.tickets, { readOnlyMode: true, description: 'One ticket for each attempt of a run' }),
    ],
    serverAdapter,
    options: { uiBasePath: PAGES, uiConfig: { boardTitle: 'Muster', hideRedisDetails: true } },
  })
  serverAdapter.setBasePath(BASE_PATH)
  serverAdapter.setErrorHandler((error) => {
    // A request that our own hooks refuse before it gets here.
    if (error instanceof MusterError) return { status: 400, body: toProblem(error) }
    logger.error({ err: error }, 'a request to the board failed')
    // The error may come from Redis, and its text is not for the browser.
    return { status: 500, body: { error: 'The board cannot be read. See the log of the server.' } }
  })
  await app.register(async (scope) => {
    await addPageSecurity(scope)
    scope.addHook('onSend', async (_request, _reply, payload) =>
      typeof payload === 'string' && payload.startsWith('<!DOCTYPE html>') ? withoutForeignStyle(payload) : payload,
    )
    scope.addHook('onRequest', async (request, reply) => {
      try {
        requireScope(request.principal, 'jobs:all', 'the board, which shows the tickets of all owners,')
        requireScope(request.principal, 'jobs:read', 'the board, which shows hosts and titles of jobs,')
      } catch (error) {
        return sendProblem(reply, request, error, logger)
      }
      // A second lock on the same door: only reads pass, whatever a later version of the board lets through.
      if (request.method === 'GET' || request.method === 'HEAD') return
      await reply.code(405).header('allow', 'GET, HEAD').send({ error: 'The board is read-only.' })
    })
    await scope.register(serverAdapter.registerPlugin(), { prefix: BASE_PATH })
  })
}

/**
 * The page without the fonts that it asks another site for, and without the styles in its text, which only dress the
 * word "Loading". The policy would refuse both.
 */
function withoutForeignStyle(page: string): string {
  return page
    .replace(/<link [^>]*href="(?:https?:)?\/\/[^>]*>/g, '')
    .replace(/<style>[^<]*<\/style>/g, '')
    .replace(/ style="[^"]*"/g, '')
}
