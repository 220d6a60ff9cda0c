/**
 * A real Redis for each process of the test run, in a temporary directory. Tests find its address by `sharedRedisUrl`.
 *
 * REDIS_URL is not looked at: tests never touch a Redis that they do not own.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startRedis } from '@muster/runtime'
import type { TestProject } from 'vitest/node'
import type { RedisServer } from '../../../libs/runtime/src/redis/redis-server.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** With passwords. */
    redisUrls: readonly string[]
  }
}

let dataDir: string | undefined
let started: readonly RedisServer[] = []

/** Runs before all test files. Redis is installed if it is missing and that can be done unattended. */
export async function setup(project: TestProject): Promise<void> {
  const home = await mkdtemp(join(tmpdir(), 'muster-redis-'))
  dataDir = home
  const start = async (number: number) => {
    const redis = await startRedis({
      dataDir: join(home, String(number)),
      allowInstall: true,
      env: process.env,
      log: (line) => void (number === 0 && process.stderr.write(`${line}\n`)),
    })
    started = [...started, redis]
  }
  // Only one of them may install it.
  await start(0)
  const others = Array.from({ length: Number(project.vitest.config.maxWorkers) - 1 }, (_, index) => start(index + 1))
  await Promise.all(others)
  project.provide(
    'redisUrls',
    started.map(({ url }) => url),
  )
}

/** Runs after all test files. */
export async function teardown(): Promise<void> {
  await Promise.all(started.map((redis) => redis.close()))
  if (dataDir !== undefined) await rm(dataDir, { recursive: true, force: true })
}
