/** `muster mcp` as a process, as a client starts it, spoken to line by line. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { onTestFinished } from 'vitest'
import { z } from 'zod'
import { apart } from '../runtime/apart.ts'
import { descendantsOf } from '../ssh/sshd.ts'

/** The command. */
export const MUSTER = resolve('apps/cli/bin/muster.js')

/** The environment of a client's server. */
export type Env = Record<string, string | undefined>

const Line = z.looseObject({
  jsonrpc: z.literal('2.0'),
  id: z.union([z.string(), z.number(), z.null()]).optional(),
  method: z.string().optional(),
  params: z.unknown().optional(),
  result: z.record(z.string(), z.unknown()).optional(),
  error: z.object({ code: z.number(), message: z.string() }).optional(),
})

/** What a request of the newer generation carries. */
export const MODERN_META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': {},
}

/** The first request of an older client. */
export const INITIALIZE = {
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '0' } },
}

/**
 * A home directory with an empty directory of settings, as the environment of a desktop client with little more;
 * removed when the test ends.
 */
export async function sparseEnv(): Promise<{ PATH: string; HOME: string; LOGNAME: string }> {
  const home = await mkdtemp(join(tmpdir(), 'muster-home-'))
  onTestFinished(() => rm(home, { recursive: true, force: true, maxRetries: 10 }))
  await mkdir(join(home, '.config/muster'), { recursive: true, mode: 0o700 })
  return { PATH: '/usr/bin:/bin', HOME: home, LOGNAME: 'me' }
}

/** Starts `muster mcp` in `/`. Every line that it prints must be JSON-RPC, or reading it fails. */
export function startMcp(env: Env, options: { cwd?: string; args?: string[] } = {}) {
  const child = spawn(process.execPath, [MUSTER, 'mcp', ...(options.args ?? [])], {
    env: apart(env),
    cwd: options.cwd ?? '/',
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const said: Buffer[] = []
  child.stderr.on('data', (bytes: Buffer) => said.push(bytes))
  const printed: Buffer[] = []
  const waiting = new Set<() => void>()
  child.stdout.on('data', (bytes: Buffer) => {
    printed.push(bytes)
    for (const look of waiting) look()
  })
  // The client that a test has killed on purpose.
  child.stdin.on('error', () => {})
  const closed = once(child, 'close')
  onTestFinished(async () => {
    child.kill('SIGTERM')
    await closed
  })
  const lines = () =>
    Buffer.concat(printed)
      .toString()
      .split('\n')
      .slice(0, -1)
      .map((line) => Line.parse(JSON.parse(line)))
  /** Resolves with the first line that is wanted; the test's own deadline is the limit. */
  const line = (isWanted: (line: z.infer<typeof Line>) => boolean) =>
    new Promise<z.infer<typeof Line>>((settle) => {
      const look = () => {
        const found = lines().find(isWanted)
        if (found === undefined) return
        waiting.delete(look)
        settle(found)
      }
      waiting.add(look)
      look()
    })
  const write = (text: string) => child.stdin.write(text)
  const send = (message: object) => write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
  const answer = (id: string | number | null) => line((one) => one.id === id && one.method === undefined)
  /** Sends a request and waits for its answer. */
  const ask = (id: string | number, message: object) => {
    send({ id, ...message })
    return answer(id)
  }
  return {
    child,
    lines,
    line,
    write,
    send,
    answer,
    ask,
    said: () => Buffer.concat(said).toString(),
    /** A tool call and its answer. */
    call: (id: string | number, name: string, fields: object) =>
      ask(id, { method: 'tools/call', params: { name, arguments: fields } }),
    /** The process IDs of everything that it has started. */
    children: async () => await descendantsOf(child.pid ?? 0),
    /** Closes its standard input and waits for its end. */
    end: async () => {
      child.stdin.end()
      await closed
      return { status: child.exitCode, signal: child.signalCode }
    },
    closed,
  }
}
