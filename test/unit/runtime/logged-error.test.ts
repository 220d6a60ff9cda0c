import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { createLogger } from '@muster/runtime'
import { Redis } from 'ioredis'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { sharedRedisUrl } from '../../support/runtime/shared-redis.ts'

function capture() {
  const lines: string[] = []
  const logger = createLogger({ name: 'test', level: 'info', write: (line) => lines.push(line) })
  return { logger, lines }
}

async function failureOf(promise: Promise<unknown>): Promise<Error> {
  const failure = await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!(failure instanceof Error)) throw new Error('it did not fail')
  return failure
}

const OUTPUT = 'bytes-of-a-command'

test('an error of Redis is logged without the arguments of its command, wherever they stand in it', async () => {
  const redis = new Redis(sharedRedisUrl(), { enableOfflineQueue: false })
  onTestFinished(() => redis.disconnect())
  const { logger, lines } = capture()
  const away = await failureOf(redis.set('key', OUTPUT))
  await once(redis, 'ready')
  await redis.set(`{test-logged}${process.pid}`, OUTPUT, 'EX', 60)
  const failures = [
    away,
    await failureOf(redis.eval('return redis.call("HGET", KEYS[1], "x")', 1, `{test-logged}${process.pid}`, OUTPUT)),
    await failureOf(redis.call('NOSUCHCOMMAND', OUTPUT)),
    await failureOf(redis.multi().set('a', OUTPUT).call('NOSUCHCOMMAND', OUTPUT).exec()),
  ]
  for (const failure of failures) {
    logger.error({ err: failure }, 'as err')
    logger.error({ error: failure }, 'as error')
    logger.error(failure)
    logger.error(failure, 'with a text')
    logger.error({ err: new Error('outer', { cause: failure }) }, 'as cause')
    logger.error({ err: new AggregateError([failure], 'several') }, 'as one of several')
  }
  expect(lines.join('')).not.toContain(OUTPUT)
  expect(lines.join('')).toContain("unknown command 'NOSUCHCOMMAND'")
  const Line = z.object({ err: z.object({ type: z.string(), message: z.string(), stack: z.string() }) })
  expect(Line.parse(JSON.parse(lines[0] ?? '')).err.stack).toContain(Line.parse(JSON.parse(lines[0] ?? '')).err.message)
})

test('an error keeps its code and its causes, and one without end is cut', () => {
  const { logger, lines } = capture()
  const error = new Error('outer', {
    cause: Object.assign(new Error('inner'), { code: 'ECONNRESET', command: OUTPUT }),
  })
  logger.error({ err: error }, 'two')
  logger.error({ err: new Error('x'.repeat(100_000)) }, 'long')
  const itself = new Error('itself')
  itself.cause = itself
  logger.error({ err: itself }, 'its own cause')
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ err: { message: 'outer', cause: { code: 'ECONNRESET' } } })
  expect(lines[0]).not.toContain(OUTPUT)
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(20_000)
})

test('a trouble that goes on is logged at once and then counted, and another one is reported beside it', () => {
  const { logger, lines } = capture()
  const refused = (id: number) => new Error(`lock of job_${id} is missing`)
  for (let i = 0; i < 1_000; i += 1) {
    logger.child({ host: `h${i}` }).warn({ err: refused(i) }, 'trouble')
    logger.error(new Error('another'))
  }
  logger.warn({ err: refused(1), request_id: 'one' }, 'trouble')
  logger.warn({ err: refused(1), request_id: 'two' }, 'trouble')
  for (let i = 0; i < 3; i += 1) logger.info('attempt ended')
  expect(lines.map((line) => JSON.parse(line).msg)).toEqual([
    'trouble',
    'another',
    'trouble',
    'trouble',
    ...Array.from({ length: 3 }, () => 'attempt ended'),
  ])
})

test('what was left out is reported with how often, while it goes on and when it is over', async () => {
  const lines: string[] = []
  const write = (line: string) => lines.push(line)
  const logger = createLogger({ name: 'test', level: 'info', write, repeatEveryMs: 50 })
  for (let i = 0; i < 5; i += 1) logger.warn({ err: new Error('full') }, 'trouble')
  await expect.poll(() => lines.length).toBe(2)
  expect(JSON.parse(lines[1] ?? '')).toMatchObject({ msg: 'trouble', repeated: 4, err: { message: 'full' } })
  await sleep(150)
  expect(lines).toHaveLength(2)
  logger.warn({ err: new Error('full') }, 'trouble')
  expect(lines).toHaveLength(3)
  expect(lines[2]).not.toContain('repeated')
})
