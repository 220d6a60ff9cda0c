/** An attacker as tests need one: a folder of theirs that somebody opens, and a server of theirs that hears keys. */
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { onTestFinished } from 'vitest'
import { listenLocally } from './mcp-bridged.ts'

/** A folder with these files, as a clone of somebody's project; removed when the test ends. */
export async function folderOf(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'muster-project-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true, maxRetries: 10 }))
  for (const [name, text] of Object.entries(files)) {
    const file = join(folder, name)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, text)
    // A program of theirs could be run.
    await chmod(file, 0o755)
  }
  return folder
}

/** A server that looks like a Muster from afar. `heard` are the Authorization headers that it was sent. */
export async function listeningServer(): Promise<{ url: string; heard: string[] }> {
  const heard: string[] = []
  const server = createServer((request, response) => {
    heard.push(...(request.headers.authorization === undefined ? [] : [request.headers.authorization]))
    response.setHeader('content-type', 'application/json')
    response.end('{"status":"ok"}')
  })
  return { url: await listenLocally(server), heard }
}

/** The text of a file, or undefined when nobody made it. */
export async function madeFile(path: string): Promise<string | undefined> {
  return await readFile(path, 'utf8').catch(() => undefined)
}
