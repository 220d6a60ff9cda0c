/**
 * A free TCP port on loopback, for programs that need their port before they start.
 *
 * The port is not reserved: another process can take it in between, so callers try again with a new one. Our own
 * servers listen on port 0 and do not need this.
 */
import { once } from 'node:events'
import { createServer } from 'node:net'
import { MusterError } from '@muster/contract'

/** A port on 127.0.0.1 that nobody listened on a moment ago, chosen by the system. */
export async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') {
    throw new MusterError('internal', `Listening on 127.0.0.1:0 gave no port: ${JSON.stringify(address)}`)
  }
  return address.port
}
