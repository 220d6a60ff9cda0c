/**
 * The product's HTTP server with other MCP servers behind the same endpoint: those that the official scenarios expect.
 * Host, Origin and key are checked as they always are; bodies are limited, connections closed and errors told as
 * always.
 *
 * It shares Redis with the product, so that jobs which it submits run on real hosts, and the product's key opens it.
 */
import { openKeyStore } from '@muster/access'
import { parseInventory } from '@muster/inventory'
import { openLedger } from '@muster/ledger'
import { type Closers, createLogger } from '@muster/runtime'
import { buildServer, type ServerDeps } from '@muster/server'
import { openWorkSigner } from '@muster/trust'
import { z } from 'zod'
import { OPEN_SERVER } from '../support/server/open-server.ts'
import type { Product } from './product.ts'

const Address = z.object({ port: z.number() })

/** Starts it on a free port; answers its address. Everything is registered with `closers`. */
export async function startFixture(
  closers: Closers,
  product: Product,
  mcpServers: Required<ServerDeps>['mcpServers'],
): Promise<string> {
  const { env, prefix, inventoryYaml } = product
  const ledger = await openLedger({ redisUrl: env.REDIS_URL ?? '', prefix, role: 'server' })
  closers.add('fixture ledger', () => ledger.close())
  const keyLedger = { ...ledger, macs: undefined }
  // The product's workers run nothing that is not signed.
  const signer = await openWorkSigner(env.MUSTER_SERVER_KEY_FILE ?? '', () => {})
  const defaults = { home: env.MUSTER_DATA_DIR ?? '', user: 'nobody', credentials: [] }
  const inventory = parseInventory(inventoryYaml, 'inventory.yaml', defaults)
  const app = await buildServer({
    ...OPEN_SERVER,
    signWork: signer.sign,
    ledger,
    inventory: { current: () => inventory },
    keyLedger,
    keys: openKeyStore(keyLedger),
    names: { listensOn: '127.0.0.1', allowedHosts: [], hasTls: false },
    logger: createLogger({ name: 'fixture', level: 'error', write: (line) => process.stderr.write(line) }),
    mcpServers,
  })
  closers.add('fixture', () => app.close())
  await app.listen({ host: '127.0.0.1', port: 0 })
  return `http://127.0.0.1:${Address.parse(app.server.address()).port}`
}
