/**
 * Looks up the addresses of names as the system does (getaddrinfo), so that /etc/hosts and nsswitch count.
 *
 * Such a look-up cannot be stopped, and with a silent resolver it holds a thread for half a minute. So look-ups run in
 * a process of their own (lookup/look-up.cjs), many at once, and abandoned ones end with that process. Every wait has a
 * limit, and shares the look-up with all who want the same name. A failure is never the host's fault.
 */
import { type ChildProcess, fork } from 'node:child_process'
import type { LookupAddress } from 'node:dns'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { type Failure, failure } from '../verdict/failure.ts'
import { noAnswer } from './dial-failure.ts'

const PROGRAM = fileURLToPath(new URL('../../lookup/look-up.cjs', import.meta.url))

/** Below the 10 s after which glibc gives up a silent resolver, so that the message is always the same. */
const LIMIT_MS = 9_000
/** Look-ups at once; others wait. More than the runs of most workers, so that silent names delay no others. */
const AT_ONCE = 256
/** The most time a process gets for one name: glibc gives up long before, so the process hangs, or was stopped. */
const STUCK_MS = 60_000
const Answer = z.union([
  z.object({
    name: z.string(),
    addresses: z.array(z.object({ address: z.string(), family: z.union([z.literal(4), z.literal(6)]) })).min(1),
  }),
  z.object({ name: z.string(), code: z.string() }),
])

/** The addresses of a name, the preferred one first; or why there are none. */
export type LookedUp = { readonly addresses: LookupAddress[] } | { readonly failure: Failure }

/** One name, and who waits for its addresses; empty once all have given up. `sinceMs`: when the look-up began. */
type LookUp = { readonly waiting: Set<(found: LookedUp) => void>; sinceMs: number | undefined }

/** All look-ups of a process. Nothing is started before the first name. */
export class LookUps {
  /** By name, in the order of the requests. */
  readonly #lookUps = new Map<string, LookUp>()
  #child: ChildProcess | undefined
  /** Whether the present process has ever answered: one that cannot work is not started again and again. */
  #hasAnswered = false
  #isClosed = false

  /** The addresses of a name. An abort means that its time is over. */
  find(name: string, signal: AbortSignal): Promise<LookedUp> {
    return new Promise((resolve) => {
      if (this.#isClosed) return resolve({ failure: failure('conn_lost', 'stopped before its address was looked up') })
      if (signal.aborted) return resolve(timedOut(''))
      const lookUp = this.#lookUps.get(name) ?? { waiting: new Set(), sinceMs: undefined }
      this.#lookUps.set(name, lookUp)
      const settle = (found: LookedUp) => {
        clearTimeout(timer)
        signal.removeEventListener('abort', onAbort)
        lookUp.waiting.delete(settle)
        resolve(found)
      }
      const giveUp = (limit: string) => {
        settle(timedOut(limit))
        // A look-up under way goes on, for whoever asks next.
        if (lookUp.waiting.size === 0 && lookUp.sinceMs === undefined) this.#lookUps.delete(name)
      }
      const onAbort = () => giveUp('')
      const timer = setTimeout(() => giveUp(` (limit ${LIMIT_MS / 1_000} s)`), LIMIT_MS)
      signal.addEventListener('abort', onAbort, { once: true })
      lookUp.waiting.add(settle)
      this.#next()
    })
  }

  /** Ends all look-ups; those who wait are told so. */
  close(): void {
    this.#isClosed = true
    this.#stop()
    this.#settleAll(failure('conn_lost', 'stopped before its address was looked up'))
  }

  /** Begins as many look-ups as the limit allows. */
  #next(): void {
    const nowMs = performance.now()
    const underWay = this.#underWay()
    const givenUp = underWay.filter(({ waiting }) => waiting.size === 0).length
    const isFull = underWay.length >= AT_ONCE && givenUp >= AT_ONCE / 2
    if (isFull || underWay.some(({ sinceMs = nowMs }) => nowMs - sinceMs > STUCK_MS)) this.#startOver()
    let free = AT_ONCE - this.#underWay().length
    for (const [name, lookUp] of this.#lookUps) {
      if (free <= 0) return
      if (lookUp.sinceMs !== undefined) continue
      free -= 1
      lookUp.sinceMs = nowMs
      this.#process().send(name)
    }
  }

  #underWay(): LookUp[] {
    return [...this.#lookUps.values()].filter(({ sinceMs }) => sinceMs !== undefined)
  }

  /** Ends the process, and with it the look-ups that nobody waits for; another process gets the rest. */
  #startOver(): void {
    this.#stop()
    for (const [name, lookUp] of this.#lookUps) {
      lookUp.sinceMs = undefined
      if (lookUp.waiting.size === 0) this.#lookUps.delete(name)
    }
  }

  #process(): ChildProcess {
    if (this.#child !== undefined) return this.#child
    const child = fork(PROGRAM, { execArgv: [], env: {}, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    this.#child = child
    this.#hasAnswered = false
    child.unref()
    child.channel?.unref()
    child.on('message', (message) => this.#onAnswer(Answer.parse(message)))
    child.on('error', () => this.#onEnd(child))
    child.on('exit', () => this.#onEnd(child))
    return child
  }

  #onAnswer(answer: z.infer<typeof Answer>): void {
    this.#hasAnswered = true
    const waiting = this.#lookUps.get(answer.name)?.waiting ?? []
    this.#lookUps.delete(answer.name)
    const found = 'addresses' in answer ? { addresses: answer.addresses } : { failure: explain(answer.code) }
    for (const settle of [...waiting]) settle(found)
    this.#next()
  }

  /** The process ended by itself. */
  #onEnd(child: ChildProcess): void {
    if (child !== this.#child) return
    this.#child = undefined
    if (!this.#hasAnswered) {
      this.#settleAll(failure('dns_error', 'its address cannot be looked up: the process that looks names up ended'))
      return
    }
    this.#startOver()
    this.#next()
  }

  #stop(): void {
    const child = this.#child
    this.#child = undefined
    child?.kill('SIGKILL')
  }

  #settleAll(why: Failure): void {
    const waiting = [...this.#lookUps.values()].flatMap((lookUp) => [...lookUp.waiting])
    this.#lookUps.clear()
    for (const settle of waiting) settle({ failure: why })
  }
}

/** Only EAI_AGAIN says that the look-up itself failed; the others say that there is no such name. */
function explain(code: string): Failure {
  return failure('dns_error', `its address cannot be looked up: ${code}`, { isRetryable: code === 'EAI_AGAIN' })
}

function timedOut(limit: string): LookedUp {
  return { failure: noAnswer('the look-up of its address', limit) }
}
