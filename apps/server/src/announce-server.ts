/** Announces the running server to programs on the same computer, in the file `server.json` of the data directory. */
import type { X509Certificate } from 'node:crypto'
import { type AddressInfo, isIP } from 'node:net'
import { MusterError } from '@muster/contract'
import { removeServerFile, writeServerFile } from '@muster/runtime'

/** How a server can be reached. */
export type Listening = {
  readonly addresses: ReadonlyArray<AddressInfo | string>
  /** What it was told to listen on. */
  readonly host: string
  /** Absent: it speaks plain HTTP. */
  readonly certificate?: X509Certificate | undefined
}

/**
 * Writes the file and returns the address in it: one that can be called from here, so loopback when the server listens
 * on all addresses, and one that its certificate is for. `remove` leaves the file alone when a later server has written
 * its own.
 */
export async function announceServer(
  listening: Listening,
  dataDir: string,
): Promise<{ url: string; remove(): Promise<void> }> {
  const url = urlOf(listening)
  await writeServerFile(dataDir, url)
  return { url, remove: () => removeServerFile(dataDir) }
}

function urlOf({ addresses, host, certificate }: Listening): string {
  const address = addresses.find((candidate) => typeof candidate !== 'string')
  if (address === undefined) throw new MusterError('internal', 'the server listens on no address')
  const own = reachable(address.address)
  if (certificate === undefined) return `http://${inUrl(own)}:${address.port}`
  const names = [own, host, 'localhost', ...namesIn(certificate)]
  return `https://${inUrl(names.find((name) => isFor(certificate, name)) ?? own)}:${address.port}`
}

function reachable(address: string): string {
  if (address === '0.0.0.0') return '127.0.0.1'
  return address === '::' ? '::1' : address
}

function inUrl(name: string): string {
  return isIP(name) === 6 ? `[${name}]` : name
}

function isFor(certificate: X509Certificate, name: string): boolean {
  const found = isIP(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name)
  return found !== undefined
}

/** The names of a certificate that can be called: a wildcard is none. */
function namesIn({ subjectAltName = '' }: X509Certificate): string[] {
  return [...subjectAltName.matchAll(/DNS:([A-Za-z0-9.-]+)/g)].map(([, name = '']) => name)
}
