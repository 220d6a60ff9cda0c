/** The check after every test file finds what is left: a planted leak of each kind. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { describe, expect, onTestFinished, test } from 'vitest'
import { watchLeftovers } from '../../support/runner/leftovers.ts'
import { sharedRedisUrl } from '../../support/runtime/shared-redis.ts'

/** What is found after `leave`. */
async function foundAfter(leave: () => unknown, { patienceMs = 300 } = {}): Promise<string[]> {
  const watch = watchLeftovers(sharedRedisUrl(), { patienceMs })
  onTestFinished(() => watch.close())
  await leave()
  return watch.leftovers()
}

const quietly = { stdio: 'ignore' } as const

async function ended(child: ChildProcess): Promise<void> {
  await new Promise((resolve) => child.on('exit', resolve))
}

describe('is found after the file:', () => {
  test('a listening server', async () => {
    const server = createServer().listen(0)
    onTestFinished(() => void server.close())
    expect(await foundAfter(() => void server)).toEqual([])
    const later = createServer()
    onTestFinished(() => void later.close())
    expect(await foundAfter(() => later.listen(0))).toEqual(['1 open TCPServerWrap'])
  })

  test('a child, and the child of a child', async () => {
    const found = await foundAfter(() => spawn('sh', ['-c', 'sleep 71 & exec sleep 72'], quietly))
    expect(found).toContainEqual(expect.stringMatching(/^process \d+: sleep 71 $/))
    expect(found).toContainEqual(expect.stringMatching(/^process \d+: sleep 72 $/))
  })

  test('the child of a child that is dead, in a process group of its own', async () => {
    const found = await foundAfter(() => ended(spawn('sh', ['-c', 'sleep 73 & exit'], { ...quietly, detached: true })))
    expect(found).toEqual([expect.stringMatching(/^process \d+: sleep 73 $/)])
  })

  test('a temporary file', async () => {
    const found = await foundAfter(() => mkdtempSync(join(tmpdir(), 'muster-planted-')))
    expect(found).toEqual([expect.stringMatching(/^temporary file muster-planted-\w+$/)])
  })

  test('a key in the shared Redis that has no prefix of a test', async () => {
    const redis = new Redis(sharedRedisUrl())
    onTestFinished(async () => {
      await redis.del('planted')
      redis.disconnect()
    })
    await redis.set('{test-planted}:kept', 1, 'EX', 60)
    const found = await foundAfter(() => redis.set('planted', 1, 'EX', 60))
    expect(found).toEqual(['Redis key planted, of this file or of one beside it'])
  })
})

test('nothing is found after a file that cleans up, even if a look takes longer than patience lasts', async () => {
  expect(await foundAfter(() => ended(spawn('true', quietly)), { patienceMs: 1 })).toEqual([])
})
