/** What server and worker say at their start of keys that are missing, and of files that they cannot use. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLogger, type Logger } from '@muster/runtime'
import { makeKeys, SERVER_KEYS, WORKER_KEYS } from '@muster/trust'
import { expect, onTestFinished, test } from 'vitest'
import { tellMissingKeys as ofServer } from '../../../apps/server/src/tell-keys.ts'
import { tellMissingKeys as ofWorker } from '../../../apps/worker/src/tell-keys.ts'

async function allKeys() {
  const directory = await mkdtemp(join(tmpdir(), 'muster-missing-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return { workers: await makeKeys(WORKER_KEYS, directory), servers: await makeKeys(SERVER_KEYS, directory) }
}

async function saidBy(tell: (logger: Logger) => Promise<void>): Promise<string[]> {
  const lines: string[] = []
  await tell(createLogger({ name: 'test', level: 'info', write: (line) => lines.push(line) }))
  return lines.map((line) => JSON.parse(line).msg)
}

/** As 0.2 made it: keys that seal, and none that signs. */
async function asBefore(file: string): Promise<void> {
  const { keys } = JSON.parse(await readFile(file, 'utf8'))
  await writeFile(file, JSON.stringify({ keys: keys.slice(0, 1) }))
}

test('a server and a worker that have all keys say nothing', async () => {
  const { workers, servers } = await allKeys()
  const { privateFile: MUSTER_WORKER_KEY_FILE, publicFile: MUSTER_WORKER_PUBLIC_KEY_FILE } = workers
  const { privateFile: MUSTER_SERVER_KEY_FILE, publicFile: MUSTER_SERVER_PUBLIC_KEY_FILE } = servers
  const server = { MUSTER_SERVER_KEY_FILE, MUSTER_WORKER_PUBLIC_KEY_FILE }
  const worker = { MUSTER_WORKER_KEY_FILE, MUSTER_SERVER_PUBLIC_KEY_FILE }
  expect(await saidBy((logger) => ofServer(server, logger))).toEqual([])
  expect(await saidBy((logger) => ofWorker(worker, logger))).toEqual([])
})

test('each missing key is named, with what then does not work and what makes it', async () => {
  expect(await saidBy((logger) => ofServer({}, logger))).toEqual([
    'MUSTER_WORKER_PUBLIC_KEY_FILE is not set: passwords and other secrets in requests are refused; ' +
      'the ends of runs are not checked, and are what Redis says (muster worker-keys make)',
    'MUSTER_SERVER_KEY_FILE is not set: jobs are not signed, and whoever can write to Redis can make API keys ' +
      '(muster server-keys make)',
  ])
  expect(await saidBy((logger) => ofWorker({}, logger))).toEqual([
    'MUSTER_WORKER_KEY_FILE is not set: runs of jobs with passwords or other secrets end here as skipped, ' +
      'secrets_unreadable; the ends of its runs are not signed, and servers that check them believe none ' +
      '(muster worker-keys make)',
    'MUSTER_SERVER_PUBLIC_KEY_FILE is not set: this worker runs what Redis says, and whoever can write there runs ' +
      'commands (muster server-keys make)',
  ])
})

test('files of 0.2 are used, and what they lack is told', async () => {
  const { workers, servers } = await allKeys()
  for (const file of [workers.privateFile, workers.publicFile]) await asBefore(file)
  const server = {
    MUSTER_SERVER_KEY_FILE: servers.privateFile,
    MUSTER_WORKER_PUBLIC_KEY_FILE: workers.publicFile,
  }
  const worker = {
    MUSTER_WORKER_KEY_FILE: workers.privateFile,
    MUSTER_SERVER_PUBLIC_KEY_FILE: servers.publicFile,
  }
  expect(await saidBy((logger) => ofServer(server, logger))).toEqual([
    `${workers.publicFile} has no key that checks ends: the ends of runs are not checked, and are what Redis says ` +
      '(muster worker-keys rotate adds one)',
  ])
  expect(await saidBy((logger) => ofWorker(worker, logger))).toEqual([
    `${workers.privateFile} has no key that signs ends: the ends of its runs are not signed, and servers that check ` +
      'them believe none (muster worker-keys rotate adds one)',
  ])
})

test('the file of the other side is refused, and so is the other half', async () => {
  const { workers, servers } = await allKeys()
  const server = (MUSTER_SERVER_KEY_FILE: string) => saidBy((logger) => ofServer({ MUSTER_SERVER_KEY_FILE }, logger))
  const worker = (MUSTER_SERVER_PUBLIC_KEY_FILE: string) =>
    saidBy((logger) => ofWorker({ MUSTER_SERVER_PUBLIC_KEY_FILE }, logger))
  await expect(server(workers.privateFile)).rejects.toThrow('it holds keys of workers')
  await expect(server(servers.publicFile)).rejects.toThrow('it holds public halves only')
  await expect(worker(servers.privateFile)).rejects.toThrow('it holds private keys, which only servers may have')
  await expect(worker(workers.publicFile)).rejects.toThrow('it holds keys of workers')
})
