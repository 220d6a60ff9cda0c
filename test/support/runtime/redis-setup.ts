/**
 * One real Redis for the whole test run, in a temporary directory. Tests find its address by `inject('redisUrl')` and
 * keep apart by the names of their keys.
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
    /** With a password. */
    redisUrl: string
  }
}

let dataDir: string | undefined
let redis: RedisServer | undefined

/** Runs before all test files. Redis is installed if it is missing and that can be done unattended. */
export async function setup(project: TestProject): Promise<void> {
  dataDir = await mkdtemp(join(tmpdir(), 'muster-redis-'))
  redis = await startRedis({
    dataDir,
    allowInstall: true,
    env: process.env,
    log: (line) => process.stderr.write(`${line}\n`),
  })
  project.provide('redisUrl', redis.url)
}

/** Runs after all test files. */
export async function teardown(): Promise<void> {
  await redis?.close()
  if (dataDir !== undefined) await rm(dataDir, { recursive: true, force: true })
}
