/** When files are read again, and when not. The disk's own clock decides, which no test can set. */
import { mkdtempSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { keepFiles } from '@muster/ssh'
import { afterAll, afterEach, expect, test, vi } from 'vitest'

const dir = mkdtempSync(join(tmpdir(), 'muster-kept-files-'))
afterAll(() => rmSync(dir, { recursive: true }))
afterEach(() => vi.useRealTimers())

/** A file in a directory of the test's, with this content, and what reads it and counts that. */
function kept(name: string, content: string) {
  const file = join(dir, name)
  writeFileSync(file, content)
  const read = vi.fn(async () => readFileSync(file, 'utf8'))
  return { file, read, ask: keepFiles([file], read) }
}

/** From here on the clock shows a time at which the files of the test are old. */
function letFilesGrowOld() {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 10_000 })
}

test('a file that has not changed is read once, and one that has again, whatever it says of its time', async () => {
  const one = kept('changed', 'old key')
  letFilesGrowOld()
  expect([await one.ask(), await one.ask()]).toEqual(['old key', 'old key'])
  expect(one.read).toHaveBeenCalledTimes(1)
  const before = statSync(one.file)
  writeFileSync(one.file, 'new key')
  utimesSync(one.file, before.atime, before.mtime)
  expect([await one.ask(), await one.ask()]).toEqual(['new key', 'new key'])
  expect(one.read).toHaveBeenCalledTimes(2)
  const other = kept('other', 'the key')
  utimesSync(other.file, before.atime, before.mtime)
  renameSync(other.file, one.file)
  expect(await one.ask()).toBe('the key')
})

test('a file that has just changed is read each time: the next change may look the same', async () => {
  const one = kept('young', 'content')
  vi.useFakeTimers({ toFake: ['Date'], now: statSync(one.file).ctimeMs + 1_900 })
  await one.ask()
  await one.ask()
  expect(one.read).toHaveBeenCalledTimes(2)
})

test('changes that follow each other at once are all seen', async () => {
  const one = kept('fast', 'content 000')
  for (let i = 0; i < 300; i += 1) {
    const content = `content ${String(i).padStart(3, '0')}`
    writeFileSync(one.file, content)
    expect(await one.ask()).toBe(content)
  }
})

test('those who ask at the same time share one look; one that has begun is not for those who ask later', async () => {
  const one = kept('shared', 'before')
  let goOn = () => {}
  one.read.mockImplementationOnce(async () => {
    const content = readFileSync(one.file, 'utf8')
    await new Promise<void>((resolve) => {
      goOn = resolve
    })
    return content
  })
  const first = Array.from({ length: 5 }, () => one.ask())
  await vi.waitFor(() => expect(one.read).toHaveBeenCalledTimes(1))
  writeFileSync(one.file, 'after')
  const second = Array.from({ length: 5 }, () => one.ask())
  goOn()
  expect(new Set(await Promise.all(first))).toEqual(new Set(['before']))
  expect(new Set(await Promise.all(second))).toEqual(new Set(['after']))
  expect(one.read).toHaveBeenCalledTimes(2)
})

test('a failure is reported to those who asked, and not kept', async () => {
  const one = kept('failing', 'content')
  rmSync(one.file)
  await expect(one.ask()).rejects.toThrow('ENOENT')
  await expect(one.ask()).rejects.toThrow('ENOENT')
  writeFileSync(one.file, 'back')
  expect(await one.ask()).toBe('back')
})

test('a disk that does not answer is waited for 10 s, and not asked by more calls until it has', async () => {
  const one = kept('stuck', 'content')
  let goOn = (_content: string) => {}
  one.read.mockImplementationOnce(() => new Promise((resolve) => (goOn = resolve)))
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const late = `no answer from the disk within 10 s for ${one.file}`
  const first = expect(one.ask()).rejects.toThrow(late)
  await vi.waitFor(() => expect(one.read).toHaveBeenCalledTimes(1))
  const others = [1, 2, 3].map(() => expect(one.ask()).rejects.toThrow(late))
  await vi.advanceTimersByTimeAsync(10_000)
  await Promise.all([first, ...others])
  expect(one.read).toHaveBeenCalledTimes(1)
  const patient = one.ask()
  goOn('content of long ago')
  expect(await patient).toBe('content')
})
