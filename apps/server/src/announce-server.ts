/**
 * The file `server.json` in the data directory, by which programs on the same computer find the running server:
 * `{ "url": …, "pid": … }`. Holds no secret; the API key is in a file of its own.
 */
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { MusterError } from '@muster/contract'
import { z } from 'zod'

/** What the file holds. */
const Announcement = z.object({ url: z.string(), pid: z.number().int() })

/**
 * Writes the file, whole or not at all, and answers the address in it: one that can be called from here, so loopback
 * when the server listens on all addresses. `remove` leaves the file alone when a later server has written its own.
 */
export async function announceServer(
  addresses: ReadonlyArray<AddressInfo | string>,
  dataDir: string,
): Promise<{ url: string; remove(): Promise<void> }> {
  const address = addresses.find((candidate) => typeof candidate !== 'string')
  if (address === undefined) throw new MusterError('internal', 'the server listens on no address')
  const url = urlOf(address)
  const file = join(dataDir, 'server.json')
  const draft = join(dataDir, `.server-${process.pid}.json`)
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  await writeFile(draft, `${JSON.stringify({ url, pid: process.pid })}\n`)
  await rename(draft, file)
  return { url, remove: () => removeOwn(file) }
}

function urlOf({ address, port, family }: AddressInfo): string {
  if (address === '0.0.0.0') return `http://127.0.0.1:${port}`
  if (address === '::') return `http://[::1]:${port}`
  return family === 'IPv6' ? `http://[${address}]:${port}` : `http://${address}:${port}`
}

async function removeOwn(file: string): Promise<void> {
  const text = await readFile(file, 'utf8').catch(() => undefined) // Gone already is as good.
  if (text !== undefined && Announcement.parse(JSON.parse(text)).pid === process.pid) await rm(file, { force: true })
}
