import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { readServerFile, removeServerFile, writeServerFile } from '../../../libs/runtime/src/process/server-file.ts'

async function newDataDir(): Promise<string> {
  const parent = await mkdtemp(join(tmpdir(), 'muster-server-file-'))
  onTestFinished(() => rm(parent, { recursive: true }))
  return join(parent, 'data')
}

test('a server that announces itself is found by its data directory, which only its owner can enter', async () => {
  const dataDir = await newDataDir()
  await writeServerFile(dataDir, 'http://127.0.0.1:7000')
  expect(await readServerFile(dataDir)).toEqual({ url: 'http://127.0.0.1:7000', pid: process.pid })
  expect(await readdir(dataDir)).toEqual(['server.json'])
  expect((await stat(dataDir)).mode & 0o777).toBe(0o700)
})

test('a server removes its own file, also when it is gone already, and never that of a later one', async () => {
  const dataDir = await newDataDir()
  await writeServerFile(dataDir, 'http://127.0.0.1:7000')
  await removeServerFile(dataDir)
  expect(await readdir(dataDir)).toEqual([])
  await removeServerFile(dataDir)
  await writeFile(join(dataDir, 'server.json'), JSON.stringify({ url: 'http://127.0.0.1:7001', pid: process.pid + 1 }))
  await removeServerFile(dataDir)
  expect(await readdir(dataDir)).toEqual(['server.json'])
})

test('a server whose process is gone is not found: another program may have its port', async () => {
  const dataDir = await newDataDir()
  await writeServerFile(dataDir, 'http://127.0.0.1:7000')
  const ended = spawn('true')
  await once(ended, 'exit')
  await writeFile(join(dataDir, 'server.json'), JSON.stringify({ url: 'http://127.0.0.1:7000', pid: ended.pid }))
  await expect(readServerFile(dataDir)).rejects.toThrow(`process ${ended.pid}, is gone`)
})

test('a data directory without a file, or with another one, names no server', async () => {
  const dataDir = await newDataDir()
  await expect(readServerFile(dataDir)).rejects.toThrow('ENOENT')
  await writeServerFile(dataDir, 'http://127.0.0.1:7000')
  await writeFile(join(dataDir, 'server.json'), '{"url": 1}')
  await expect(readServerFile(dataDir)).rejects.toThrow('expected string')
})
