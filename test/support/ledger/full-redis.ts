/** A Redis without memory left: other data takes all that it may have. */
import { randomUUID } from 'node:crypto'
import type { Ledger } from '@muster/ledger'

/** Left to it when it is filled. */
const ROOM_BYTES = 4 * 1024 * 1024
const FREED_LATER_BYTES = 1024 * 1024

/** Limits the memory of a Redis and fills it, to the last few bytes, with data that is none of ours. */
export async function fillRedis(redis: Ledger['redis']): Promise<void> {
  await redis.config('SET', 'maxmemory', String((await usedBytes(redis)) + ROOM_BYTES))
  for (const bytes of [64 * 1024, 1024, 16]) await fillWith(redis, bytes)
  // What Redis frees a moment later, such as buffers of connections, makes no room again.
  await redis.config('SET', 'maxmemory', String((await usedBytes(redis)) - FREED_LATER_BYTES))
}

/** The memory in use, with the buffers of connections. */
export async function usedBytes(redis: Ledger['redis']): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1])
}

/** Takes the limit away, or puts another one in its place. */
export async function giveRoom(redis: Ledger['redis'], limitBytes = 0): Promise<void> {
  await redis.config('SET', 'maxmemory', String(limitBytes))
}

async function fillWith(redis: Ledger['redis'], bytes: number): Promise<void> {
  const [name, text] = [randomUUID(), 'x'.repeat(bytes)]
  for (let i = 0; ; i += 1) {
    const told = await redis.set(`other:${name}:${i}`, text).catch((error: unknown) => String(error))
    if (told !== 'OK' && !told.includes('OOM')) throw new Error(told)
    if (told !== 'OK') return
  }
}
