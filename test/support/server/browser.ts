/** A real Chromium without a window, spoken to over its debugging pipe. Only for tests. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { onTestFinished } from 'vitest'
import { z } from 'zod'
import { findProgram } from '../runtime/programs.ts'

/** Where Chromium is; undefined on a machine that lacks it. */
export const CHROMIUM = findProgram('chromium')

/** The network of tests is this machine: the browser must not look for anything else by itself. */
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
  '--remote-debugging-pipe',
]

const Params = z.record(z.string(), z.unknown())
const Message = z.object({
  id: z.number().optional(),
  method: z.string().optional(),
  params: Params.optional(),
  result: Params.optional(),
  error: z.object({ message: z.string() }).optional(),
  sessionId: z.string().optional(),
})

/** What a page did: the addresses it asked for, what the browser refused it, and what it shows. */
export type Visit = {
  readonly requests: string[]
  /** Refusals by the Content-Security-Policy, failed requests and errors of scripts. */
  readonly complaints: string[]
  /** The value of an expression in the page. */
  evaluate(expression: string): Promise<unknown>
}

/** Opens a page as a person who types this password when the browser asks for one. */
export async function visit(url: string, password: string): Promise<Visit> {
  const browser = await launch()
  const requests: string[] = []
  const complaints: string[] = []
  browser.onEvent((method, params) => {
    const { requestId } = params
    if (method === 'Fetch.requestPaused') void inPage('Fetch.continueRequest', { requestId })
    if (method === 'Fetch.authRequired') {
      const authChallengeResponse = { response: 'ProvideCredentials', username: 'me', password }
      void inPage('Fetch.continueWithAuth', { requestId, authChallengeResponse })
    }
    if (method === 'Network.requestWillBeSent') {
      requests.push(z.object({ request: z.object({ url: z.string() }) }).parse(params).request.url)
    }
    if (isComplaint(method, params)) complaints.push(JSON.stringify(params))
  })
  const { targetId } = await browser.send('Target.createTarget', { url: 'about:blank' })
  const { sessionId } = await browser.send('Target.attachToTarget', { targetId, flatten: true })
  const inPage = (method: string, params: object = {}) => browser.send(method, params, String(sessionId))
  for (const domain of ['Network', 'Log', 'Runtime', 'Audits', 'Page']) await inPage(`${domain}.enable`)
  await inPage('Fetch.enable', { handleAuthRequests: true })
  await inPage('Page.navigate', { url })
  return {
    requests,
    complaints,
    evaluate: async (expression) => {
      const answer = await inPage('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true })
      if (answer.exceptionDetails !== undefined) throw new Error(JSON.stringify(answer.exceptionDetails))
      return z.object({ result: z.object({ value: z.unknown().optional() }) }).parse(answer).result.value
    },
  }
}

/** Hints on how to write a better page, and answers that are errors, are none. */
function isComplaint(method: string, params: Record<string, unknown>): boolean {
  if (method === 'Audits.issueAdded') return JSON.stringify(params).includes('ContentSecurityPolicy')
  if (method === 'Log.entryAdded') return JSON.stringify(params).includes('"source":"security"')
  return method === 'Runtime.exceptionThrown' || method === 'Network.loadingFailed'
}

async function launch() {
  const dir = await mkdtemp(join(tmpdir(), 'muster-chromium-'))
  const child = spawn(CHROMIUM ?? 'chromium', [...FLAGS, `--user-data-dir=${dir}`], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    env: { HOME: dir, PATH: process.env.PATH, TMPDIR: dir },
  })
  onTestFinished(async () => {
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    await rm(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  })
  return talkTo(child)
}

/** Messages end with a NUL. */
function talkTo({ stdio }: ChildProcess) {
  const [, , , writes, reads] = stdio
  if (!(writes instanceof Writable && reads instanceof Readable)) throw new Error('Chromium has no pipes')
  const waiting = new Map<number, (message: z.infer<typeof Message>) => void>()
  const listeners: Array<(method: string, params: Record<string, unknown>) => void> = []
  let lastId = 0
  let rest = ''
  reads.on('data', (bytes: Buffer) => {
    const parts = (rest + bytes.toString()).split('\0')
    rest = parts.pop() ?? ''
    for (const part of parts) {
      const message = Message.parse(JSON.parse(part))
      if (message.id !== undefined) waiting.get(message.id)?.(message)
      else for (const listener of listeners) listener(message.method ?? '', message.params ?? {})
    }
  })
  return {
    onEvent: (listener: (method: string, params: Record<string, unknown>) => void) => void listeners.push(listener),
    send: async (method: string, params: object, sessionId?: string) => {
      lastId += 1
      const id = lastId
      const answered = new Promise<z.infer<typeof Message>>((resolve) => waiting.set(id, resolve))
      writes.write(`${JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) })}\0`)
      const { error, result } = await answered
      if (error !== undefined) throw new Error(`Chromium refuses ${method}: ${error.message}`)
      return result ?? {}
    },
  }
}
