/**
 * TLS of the server: takes a new certificate while it runs. Renewal programs swap files or links at their own time, so
 * the files are read again and again, and what they hold is compared, not their dates.
 *
 * A pair that cannot be used never replaces one that can. Connections that are open go on as they began.
 */
import type { RequestListener, ServerOptions } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { Logger } from '@muster/runtime'
import { checkPair, digestOf, readTlsFiles, type TlsFiles, type TlsPair } from './tls-pair.ts'

const LOOK_EVERY_MS = 1_000
/** How long a connection may take to agree on keys. */
const HANDSHAKE_TIMEOUT_MS = 10_000

/** TLS of one server process. */
export type Tls = {
  /** The pair in use. */
  current(): TlsPair
  /** Makes a server that always uses the pair of the day. */
  createServer(options: ServerOptions, listener: RequestListener): Server
  /** Ends looking at the files. */
  close(): void
}

/**
 * Reads the pair and begins to look for another.
 * @throws {MusterError} invalid_config, when the pair cannot be used
 */
export async function openTls(files: TlsFiles, logger: Logger): Promise<Tls> {
  const servers: Server[] = []
  const texts = await readTlsFiles(files)
  let pair = checkPair(texts, files)
  let inUse = digestOf(texts)
  /** The trouble of the last look, and the trouble that the log has. */
  let seen: string | undefined
  let told: string | undefined

  const look = async () => {
    const next = await readTlsFiles(files)
    const digest = digestOf(next)
    if (digest !== inUse) {
      pair = checkPair(next, files)
      inUse = digest
      for (const server of servers) server.setSecureContext({ cert: pair.cert, key: pair.key })
      logger.info({ valid_to: pair.leaf.validTo, subject: pair.leaf.subject }, 'took the new certificate')
    }
    seen = undefined
    told = undefined
  }
  const onTrouble = (error: unknown) => {
    const why = error instanceof Error ? error.message : String(error)
    // Two files cannot be swapped at once: what is gone at the next look was no trouble.
    if (why === seen && why !== told) {
      told = why
      const kept = `the certificate in use stays, until ${pair.leaf.validTo}`
      logger.error({ err: error }, `the new certificate cannot be used; ${kept}`)
    }
    seen = why
  }
  let isLooking = false
  const timer = setInterval(() => {
    if (isLooking) return
    isLooking = true
    void look()
      .catch(onTrouble)
      .finally(() => {
        isLooking = false
      })
  }, LOOK_EVERY_MS)
  timer.unref()
  return {
    current: () => pair,
    createServer: (options, listener) => {
      const { cert, key } = pair
      const server = createServer({ ...options, cert, key, handshakeTimeout: HANDSHAKE_TIMEOUT_MS }, listener)
      servers.push(server)
      return server
    },
    close: () => clearInterval(timer),
  }
}
