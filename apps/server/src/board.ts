/**
 * Bull Board at /board: the tickets as BullMQ sees them. Read-only, because whoever may add a ticket may ask workers
 * for things; and it is behind the same keys as everything else.
 */
import { createBullBoard } from '@bull-board/api'
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import { FastifyAdapter } from '@bull-board/fastify'
import type { Ledger } from '@muster/ledger'
import type { FastifyInstance } from 'fastify'

const BASE_PATH = '/board'

/** Mounts the board. */
export async function mountBoard(app: FastifyInstance, ledger: Ledger): Promise<void> {
  const serverAdapter = new FastifyAdapter()
  serverAdapter.setBasePath(BASE_PATH)
  createBullBoard({
    queues: [new BullMQAdapter(ledger.tickets, { readOnlyMode: true, description: 'One ticket per run' })],
    serverAdapter,
    options: { uiConfig: { boardTitle: 'Muster', hideRedisDetails: true } },
  })
  await app.register(serverAdapter.registerPlugin(), { prefix: BASE_PATH })
}
