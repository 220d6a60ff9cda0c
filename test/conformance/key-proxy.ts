/**
 * A proxy on loopback that adds the API key and changes nothing else: the conformance suite cannot send a header of its
 * own, and the product has no mode without a key. Host and Origin go through as they come, so that the server behind
 * judges them.
 */
import { createServer, request } from 'node:http'
import { pipeline } from 'node:stream/promises'
import type { Closers } from '@muster/runtime'
import { z } from 'zod'

const Address = z.object({ port: z.number() })

/** Starts it on a free port; answers its address. */
export async function startKeyProxy(closers: Closers, target: { url: string; key: string }): Promise<string> {
  const { hostname, port } = new URL(target.url)
  const proxy = createServer((incoming, outgoing) => {
    const { method, url: path, headers } = incoming
    const forwarded = request({
      hostname,
      port,
      method,
      path,
      headers: { ...headers, authorization: `Bearer ${target.key}` },
      setHost: false,
    })
    forwarded.once('response', (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers)
      outgoing.flushHeaders()
      pipeline(response, outgoing).catch(() => forwarded.destroy())
    })
    forwarded.once('error', () => outgoing.destroy())
    // A caller that goes away is gone for the server too: that is how a call is aborted.
    outgoing.once('close', () => forwarded.destroy())
    pipeline(incoming, forwarded).catch(() => outgoing.destroy())
  })
  await new Promise<void>((resolve, reject) => {
    proxy.once('error', reject)
    proxy.listen({ host: '127.0.0.1', port: 0 }, resolve)
  })
  closers.add('key proxy', () => {
    proxy.closeAllConnections()
    proxy.close()
  })
  return `http://127.0.0.1:${Address.parse(proxy.address()).port}`
}
