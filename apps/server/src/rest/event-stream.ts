/**
 * Encodes events as server-sent events (the WHATWG HTML standard, section 9.2) in an answer that stays open.
 *
 * It asks for an event when the connection has taken the one before, so nothing piles up here. `follow-job.ts` makes
 * the events.
 */
import { Readable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import type { JobEvent } from '@muster/contract'
import type { Logger } from '@muster/runtime'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { createShares } from '../operations/call/shares.ts'

/** How often a silent connection gets a comment, so that proxies and our own timeout leave it open. */
const HEARTBEAT_MS = 15_000
/** How long a browser waits before it reconnects. */
const RECONNECT_MS = 1_000
/** Most followers at once. Each follower of output asks Redis four times a second. */
const FOLLOWERS_LIMIT = 200

/** Whether an answer of an operation is a sequence of events. */
export function isEvents(answer: unknown): answer is AsyncIterable<JobEvent> {
  return typeof answer === 'object' && answer !== null && Symbol.asyncIterator in answer
}

/** Makes the sender of event streams, which serves a limited number of callers at once, and each key some of them. */
export function createEventStreams(logger: Logger) {
  const followers = createShares({ what: 'event streams', total: FOLLOWERS_LIMIT, least: 4 })
  return {
    /** @throws {MusterError} share_taken; busy */
    send: (request: FastifyRequest, reply: FastifyReply, events: AsyncIterable<JobEvent>): FastifyReply => {
      const giveBack = followers.take(request.principal)
      if (reply.raw.destroyed) giveBack()
      else reply.raw.once('close', giveBack)
      const onFault = (error: unknown) =>
        logger.warn({ err: error, request_id: request.id }, 'a stream of events was cut off')
      // The second header asks proxies not to buffer what should arrive at once.
      reply.headers({ 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' })
      return reply.send(Readable.from(blocksOf(events, { heartbeatMs: HEARTBEAT_MS, onFault })))
    },
  }
}

/** The events as text, with a comment whenever none came for `heartbeatMs`. A fault cuts the text off. */
export async function* blocksOf(
  events: AsyncIterable<JobEvent>,
  { heartbeatMs, onFault }: { heartbeatMs: number; onFault: (error: unknown) => void },
): AsyncGenerator<string> {
  // Sent at once, so that the caller sees that it is being served.
  yield `retry: ${RECONNECT_MS}\n\n`
  const iterator = events[Symbol.asyncIterator]()
  try {
    let next = iterator.next()
    for (;;) {
      const result = await withinTime(next, heartbeatMs)
      if (result === undefined) {
        yield ': nothing new\n\n'
        continue
      }
      if (result.done === true) return
      yield blockOf(result.value)
      next = iterator.next()
    }
  } catch (error) {
    onFault(error)
    throw error
  } finally {
    await iterator.return?.()
  }
}

/** The value of the promise, or undefined when it takes longer than `ms`. */
async function withinTime<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  const settled = new AbortController()
  try {
    return await Promise.race([promise, setTimeout(ms, undefined, { signal: settled.signal })])
  } finally {
    settled.abort()
  }
}

/** JSON.stringify escapes line ends, so one data line is enough. */
function blockOf({ event, data }: JobEvent): string {
  const id = event === 'output' ? `id: ${Date.parse(data.started_at ?? '')}-${data.next_offset}\n` : ''
  return `event: ${event}\n${id}data: ${JSON.stringify(data)}\n\n`
}
