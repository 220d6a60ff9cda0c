/** A whole HTTP server for a test: real Redis, real sockets, its own prefix and key; closed when the test ends. */
import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import type { AddressInfo, BlockList } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureFirstKey, openKeyStore } from '@muster/access'
import { ALL_SCOPES, type Request, type Scope } from '@muster/contract'
import { parseInventory } from '@muster/inventory'
import { openLedger } from '@muster/ledger'
import { createLogger } from '@muster/runtime'
import { buildServer } from '@muster/server'
import { ensureKeys, makeKeys, openSealer, openWorkSigner, SERVER_KEYS, WORKER_KEYS } from '@muster/trust'
import { onTestFinished } from 'vitest'
import { z } from 'zod'
import { withoutMacs } from '../access/key-ledger.ts'
import { FIRST, makeKey as makeKeyBy } from '../access/keys.ts'
import { sharedRedisUrl } from '../runtime/shared-redis.ts'
import { OPEN_SERVER } from './open-server.ts'

/** The hosts of test servers; none of them exists. */
export const INVENTORY_YAML = `
defaults: { user: deploy }
hosts:
  "web[01-12]": { address: "10.0.0.[1-12]", labels: { env: prod } }
  db1: { address: db1.internal, port: 2222, jump: bastion }
  bastion: { address: 203.0.113.7 }
groups:
  web: "web[01-12]"
  nobody: "{env=absent}"
`

/** An answer of the server. */
type Answer = { status: number; headers: Headers; body: Record<string, unknown>; text: string }

const Body = z.record(z.string(), z.unknown())

/** An empty directory, removed when the test ends. */
export async function temporaryDataDir(): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'muster-server-'))
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }))
  return dataDir
}

/** Starts a server. `prefix` keeps it apart from other tests; two servers may share one. */
export async function startTestServer(
  options: {
    redisUrl?: string
    prefix?: string
    dataDir?: string
    allowedHosts?: string[]
    trustedProxies?: BlockList
    inventoryYaml?: string
    limits?: { callsPerMin: number; jobsPerMin: number }
    /** Whether it has the public key of workers. */
    sealsSecrets?: boolean
  } = {},
) {
  const dataDir = options.dataDir ?? (await temporaryDataDir())
  const ledger = await openLedger({
    redisUrl: options.redisUrl ?? sharedRedisUrl(),
    prefix: options.prefix ?? `test-${randomUUID()}`,
    role: 'server',
  })
  onTestFinished(() => ledger.close())
  const lines: string[] = []
  const logger = createLogger({ name: 'test', level: 'trace', write: (line) => lines.push(line) })
  const defaults = { home: dataDir, user: 'me', credentials: [] }
  const inventory = parseInventory(options.inventoryYaml ?? INVENTORY_YAML, 'inventory.yaml', defaults)
  const keyLedger = withoutMacs(ledger)
  const firstKey = await ensureFirstKey(keyLedger, { dataDir })
  const key = (await readFile(join(dataDir, 'api-key'), 'utf8')).trim()
  const keys = options.sealsSecrets === true ? await makeKeys(WORKER_KEYS, dataDir) : undefined
  const signing = await ensureKeys(SERVER_KEYS, dataDir)
  const onTrouble = (error: unknown) => logger.warn({ err: error }, 'the keys cannot be read')
  const app = await buildServer({
    ...OPEN_SERVER,
    signWork: (await openWorkSigner(signing.privateFile, onTrouble)).sign,
    ledger,
    inventory: { current: () => inventory },
    keyLedger,
    keys: openKeyStore(keyLedger),
    logger,
    names: { listensOn: '127.0.0.1', allowedHosts: options.allowedHosts ?? [], hasTls: false },
    ...(keys === undefined ? {} : { sealer: await openSealer(keys.publicFile) }),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.trustedProxies === undefined ? {} : { trustedProxies: options.trustedProxies }),
  })
  onTestFinished(() => app.close())
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = z.object({ port: z.number() }).parse(app.server.address()) satisfies Pick<AddressInfo, 'port'>
  const url = `http://127.0.0.1:${port}`

  /** A further key: with the scopes named, and all of them otherwise. Its `authorization` is the header for `call`. */
  const makeKey = async ({
    owner,
    scopes = ALL_SCOPES,
    expiresInS,
    limits = {},
  }: {
    owner: string
    scopes?: readonly Scope[]
    expiresInS?: number
    limits?: Omit<Request<'create_key'>, 'owner' | 'scopes'>
  }) => {
    const expires = expiresInS === undefined ? {} : { expires_in_s: expiresInS }
    const { key, record, holder } = await makeKeyBy(keyLedger, FIRST, {
      owner,
      scopes: [...scopes],
      ...expires,
      ...limits,
    })
    return { key, keyId: record.key_id, authorization: `Bearer ${key}`, holder }
  }

  /** One request with the first key, unless `headers` says otherwise. */
  const call = async (
    method: string,
    path: string,
    init: { body?: unknown; headers?: Record<string, string> } = {},
  ) => {
    const hasBody = init.body !== undefined
    const response = await fetch(url + path, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(method === 'GET' || method === 'HEAD' ? {} : { 'content-type': 'application/json' }),
        ...init.headers,
      },
      ...(hasBody ? { body: typeof init.body === 'string' ? init.body : JSON.stringify(init.body) } : {}),
      redirect: 'manual',
      signal: AbortSignal.timeout(20_000),
    })
    const text = await response.text()
    const isJson = text !== '' && /json/.test(response.headers.get('content-type') ?? '')
    const body = isJson ? Body.parse(JSON.parse(text)) : {}
    return { status: response.status, headers: response.headers, body, text } satisfies Answer
  }
  return { app, url, port, key, firstKey, ledger, dataDir, lines, call, makeKey }
}
