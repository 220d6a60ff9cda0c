/** Announces the running server to programs on the same computer, in the file `server.json` of the data directory. */
import type { AddressInfo } from 'node:net'
import { MusterError } from '@muster/contract'
import { removeServerFile, writeServerFile } from '@muster/runtime'

/**
 * Writes the file and returns the address in it: one that can be called from here, so loopback when the server listens
 * on all addresses. `remove` leaves the file alone when a later server has written its own.
 */
export async function announceServer(
  addresses: ReadonlyArray<AddressInfo | string>,
  dataDir: string,
): Promise<{ url: string; remove(): Promise<void> }> {
  const address = addresses.find((candidate) => typeof candidate !== 'string')
  if (address === undefined) throw new MusterError('internal', 'the server listens on no address')
  const url = urlOf(address)
  await writeServerFile(dataDir, url)
  return { url, remove: () => removeServerFile(dataDir) }
}

function urlOf({ address, port, family }: AddressInfo): string {
  if (address === '0.0.0.0') return `http://127.0.0.1:${port}`
  if (address === '::') return `http://[::1]:${port}`
  return family === 'IPv6' ? `http://[${address}]:${port}` : `http://${address}:${port}`
}
