/**
 * Calls of everything that can be called, made from the tables: each operation with a route over REST, and each tool
 * over MCP, with just the fields it must have. So a test can say something of all of them, also of those that come
 * later.
 */
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { OPERATION_NAMES, OPERATIONS, type Operation, type Scope, TOOL_NAMES, TOOLS, type Tool } from '@muster/contract'
import { onTestFinished } from 'vitest'
import { z } from 'zod'
import type { startTestServer } from './server.ts'

type TestServer = Awaited<ReturnType<typeof startTestServer>>
type Redis = TestServer['ledger']['redis']

/** Good values for the fields that some operation cannot do without, but for those that a test gives. */
const VALUES: Readonly<Record<string, unknown>> = {
  command: 'true',
  wait_s: 0,
  targets: 'web01',
  host: 'web01',
  path: '/etc',
  exec_timeout_s: 3_600,
  concurrency: 7,
  owner: 'first',
  scopes: ['keys:manage'],
  key_id: 'somekey',
}

const Required = z.looseObject({ required: z.array(z.string()).default([]) })

/** The least input of an operation; `given` are the values of fields such as job_id. */
function leastInput(input: Operation['input'], given: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { required } = Required.parse(z.toJSONSchema(input, { io: 'input' }))
  // Of what is to run there is one form out of three, which no schema can require. And nobody is to wait.
  const fields = [...required, ...['command', 'wait_s'].filter((field) => field in input.shape)]
  const values: Record<string, unknown> = { ...VALUES, ...given }
  return Object.fromEntries(
    fields.map((field) => {
      if (values[field] === undefined) throw new Error(`test/support/every-call.ts knows no value for ${field}`)
      return [field, values[field]]
    }),
  )
}

/** One call, ready to be made; what it answers is status and text, whatever they are. */
export type ReadyCall = {
  readonly name: string
  readonly scope: Scope
  readonly takesJob: boolean
  make(authorization: string, given?: Readonly<Record<string, unknown>>): Promise<{ isRefused: boolean; text: string }>
}

/** Every operation that has a route. `www` collects what refusals say in their header www-authenticate. */
export function everyRestCall({ call }: TestServer, www: string[] = []): ReadyCall[] {
  return OPERATION_NAMES.flatMap((name): ReadyCall[] => {
    const { rest, scope, input }: Operation = OPERATIONS[name]
    if (rest === undefined) return []
    const make: ReadyCall['make'] = async (authorization, given = {}) => {
      const fields = leastInput(input, given)
      const path = rest.path.replace(/:(\w+)/g, (_, field: string) => {
        const value = String(fields[field])
        delete fields[field]
        return value
      })
      const query = new URLSearchParams(
        Object.fromEntries(Object.entries(fields).map(([field, value]) => [field, String(value)])),
      )
      const headers = { authorization }
      const answer =
        rest.method === 'GET'
          ? await call('GET', `${path}?${query}`, { headers })
          : await call('POST', path, { headers, body: fields })
      www.push(answer.headers.get('www-authenticate') ?? '')
      return { isRefused: answer.status >= 400, text: `${answer.status} ${answer.text}` }
    }
    return [{ name, scope, takesJob: 'job_id' in input.shape, make }]
  })
}

/** Every tool. */
export function everyMcpCall(server: TestServer): ReadyCall[] {
  return TOOL_NAMES.map((name) => {
    const { operation, fields }: Tool = TOOLS[name]
    const { scope, input }: Operation = OPERATIONS[operation]
    const make: ReadyCall['make'] = async (authorization, given = {}) => {
      const client = await connectMcp(server, authorization)
      // A tool takes some of the fields of its operation.
      const taken = Object.entries(leastInput(input, given)).filter(([field]) => Object.hasOwn(fields, field))
      const answer = ToolAnswer.parse(await client.callTool({ name, arguments: Object.fromEntries(taken) }))
      await client.close()
      return { isRefused: answer.isError, text: answer.content.map(({ text }) => text).join('\n') }
    }
    return { name, scope, takesJob: 'job_id' in input.shape, make }
  })
}

const ToolAnswer = z.looseObject({
  isError: z.boolean().default(false),
  content: z.array(z.looseObject({ text: z.string() })),
})

/** An MCP client with this key; closed when the test ends. */
export async function connectMcp({ url }: Pick<TestServer, 'url'>, authorization: string): Promise<Client> {
  const client = new Client({ name: 'test', version: '0' })
  const transport = new StreamableHTTPClientTransport(new URL(`${url}/mcp`), {
    requestInit: { headers: { authorization } },
  })
  await client.connect(transport)
  onTestFinished(() => client.close())
  return client
}

/** Everything that Redis holds for this server, to tell whether a call has changed any of it. */
export async function everythingStored({ ledger: { redis, keys } }: TestServer): Promise<Record<string, unknown>> {
  const names: string[] = []
  for await (const part of redis.scanStream({ match: `${keys.base}*`, count: 1_000 })) {
    names.push(...z.array(z.string()).parse(part))
  }
  const values = await Promise.all(names.map(async (name) => [name, await storedAt(redis, name)]))
  return Object.fromEntries(values)
}

async function storedAt(redis: Redis, name: string): Promise<unknown> {
  const type = await redis.type(name)
  if (type === 'hash') return await redis.hgetall(name)
  if (type === 'list') return await redis.lrange(name, 0, -1)
  if (type === 'set') return (await redis.smembers(name)).toSorted()
  if (type === 'zset') return await redis.zrange(name, '0', '-1', 'WITHSCORES')
  if (type === 'stream') return await redis.xrange(name, '-', '+')
  return await redis.get(name)
}
