/**
 * Reads a job again and again from several clients at once, in a process of its own, so that its CPU time is nobody
 * else's: over MCP in either generation of the protocol, or over REST. Each answer must be of that job.
 *
 * Arguments: the way, the server's address, the file with the key, the job, how many calls, how many clients.
 */
import { readFileSync } from 'node:fs'
import { Agent, type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'

const [way = '', url = '', keyFile = '', jobId = '', calls = '0', clients = '1'] = process.argv.slice(2)
const agent = new Agent({ keepAlive: true, maxSockets: Number(clients) })
const TIMEOUT_MS = 60_000

const authorization = `Bearer ${readFileSync(keyFile, 'utf8').trim()}`
const post = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
const call = { name: 'get_job', arguments: { job_id: jobId } }

const HEADERS: Readonly<Record<string, Record<string, string>>> = {
  rest: {},
  legacy: { ...post, 'mcp-protocol-version': '2025-11-25' },
  modern: { ...post, 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'get_job' },
}

const META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': {},
  'io.modelcontextprotocol/clientInfo': { name: 'bench', version: '0' },
}

function bodyOf(id: number): string | undefined {
  if (way === 'rest') return undefined
  const params = way === 'modern' ? { ...call, _meta: META } : call
  return JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params })
}

async function readJob(id: number): Promise<void> {
  const body = bodyOf(id)
  const address = way === 'rest' ? `${url}/v1/jobs/${jobId}` : `${url}/mcp`
  const headers = { ...HEADERS[way], authorization, ...(body && { 'content-length': Buffer.byteLength(body) }) }
  const signal = AbortSignal.timeout(TIMEOUT_MS)
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const sent = request(address, { method: body === undefined ? 'GET' : 'POST', headers, agent, signal }, resolve)
    sent.once('error', reject)
    sent.end(body)
  })
  const said = await text(answer)
  if (answer.statusCode !== 200 || !said.includes(jobId)) throw new Error(`${answer.statusCode}: ${said.slice(0, 500)}`)
}

const timesMs: number[] = []
let next = 0
async function client(): Promise<void> {
  while (next < Number(calls)) {
    next += 1
    const startedMs = performance.now()
    await readJob(next)
    timesMs.push(performance.now() - startedMs)
  }
}

const startedMs = performance.now()
await Promise.all(Array.from({ length: Number(clients) }, client))
const wallMs = performance.now() - startedMs
const sorted = timesMs.toSorted((a, b) => a - b)
const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
process.stdout.write(`${JSON.stringify({ wallMs, p50Ms: at(0.5), p99Ms: at(0.99) })}\n`)
agent.destroy()
