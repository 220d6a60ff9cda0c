/**
 * `server.json` in the data directory, by which programs on the same computer find the running server. It holds no
 * secret; the API key has a file of its own.
 *
 * A server that was killed leaves its file behind, so a reader has to ask the address before it believes the file.
 */
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { readTrustedFile } from '../config/trusted-file.ts'
import { isAlive } from './process-id.ts'

const ServerFile = z.object({ url: z.string(), pid: z.number().int() })

/** Where a server answers, and the process that it is. */
export type ServerFile = z.infer<typeof ServerFile>

/** Where the file of a data directory is. */
function serverFileIn(dataDir: string): string {
  return join(dataDir, 'server.json')
}

/**
 * Reads the file. Rejects when there is none, it is not what {@link writeServerFile} writes, or its process is gone:
 * another program may have the port now, and would get the API key.
 * @throws {MusterError} `invalid_config` when somebody else could have written it
 */
export async function readServerFile(dataDir: string): Promise<ServerFile> {
  const file = serverFileIn(dataDir)
  const text = await readTrustedFile(file, { isState: true })
  if (text === undefined) throw new Error(`ENOENT: there is no ${file}`)
  const found = ServerFile.parse(JSON.parse(text))
  if (!isAlive(found.pid)) throw new Error(`the server of ${file}, process ${found.pid}, is gone`)
  return found
}

/** Writes the file for this process, whole or not at all. Makes the data directory, for its owner alone. */
export async function writeServerFile(dataDir: string, url: string): Promise<void> {
  const draft = join(dataDir, `.server-${process.pid}.json`)
  const content: ServerFile = { url, pid: process.pid }
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  await writeFile(draft, `${JSON.stringify(content)}\n`, { mode: 0o644 })
  await rename(draft, serverFileIn(dataDir))
}

/** Removes the file, unless a later server has written its own. */
export async function removeServerFile(dataDir: string): Promise<void> {
  const written = await readServerFile(dataDir).catch(() => undefined)
  if (written?.pid === process.pid) await rm(serverFileIn(dataDir), { force: true })
}
