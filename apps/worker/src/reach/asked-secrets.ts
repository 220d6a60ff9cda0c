/**
 * The secrets that programs have given, as long as they may be used again. Equal questions at the same time share one
 * run of the program, only a few programs run at once, and a failure is not kept.
 *
 * What is kept is in memory only. Runs no program itself (credential-command.ts).
 */
import type { GivenSecretRef } from '@muster/inventory'
import type { SecretScrubber } from '@muster/runtime'
import { type AskedHost, CommandFailed } from './credential-command.ts'

/** A store of secrets must not be asked by a whole fleet at once. */
const RUNS_AT_ONCE = 8
/** Longer than this nobody waits for a run of the program to begin. */
const TURN_MS = 60_000
/** More secrets than most fleets have; the oldest go first. */
const KEPT_LIMIT = 10_000
/** How many of the newest the log leaves out: each makes every line of the log dearer. */
const MASKED_LIMIT = 500

/** A secret; `isKept`: it was asked for earlier, and may have been replaced since. */
export type AskedSecret = { readonly value: string; readonly isKept: boolean }

/** Asks the program. */
export type Ask = (ref: GivenSecretRef, host: AskedHost) => Promise<string>

/** A question, and the signals of the runs that asked it; one that aborts waits no longer. */
type Running = { readonly answer: Promise<string>; readonly waiting: Set<AbortSignal> }

/** All secrets that programs have given to this worker. */
export class AskedSecrets {
  readonly #ask: Ask
  readonly #scrubber: SecretScrubber
  readonly #kept = new Map<string, { readonly value: string; readonly untilMs: number }>()
  readonly #running = new Map<string, Running>()
  readonly #masked = new Set<string>()
  readonly #waiting: (() => void)[] = []
  #free = RUNS_AT_ONCE

  constructor(ask: Ask, scrubber: SecretScrubber) {
    this.#ask = ask
    this.#scrubber = scrubber
  }

  /**
   * The secret. One that is kept is not given if it is the `refused` one.
   * @throws {SecretRefused, CommandFailed} as asking does; and when the signal aborts
   */
  async get(ref: GivenSecretRef, host: AskedHost, signal: AbortSignal, refused?: string): Promise<AskedSecret> {
    const key = JSON.stringify([ref.argv, ref.gives, host.name, host.address, host.port, host.user, host.certificate])
    const kept = this.#kept.get(key)
    const isGood = kept !== undefined && performance.now() < kept.untilMs && kept.value !== refused
    if (isGood) return { value: kept.value, isKept: true }
    this.#kept.delete(key)
    if (signal.aborted) throw stopped()
    const running = this.#running.get(key) ?? this.#begin(key, ref, host, signal)
    running.waiting.add(signal)
    return { value: await unlessAborted(running.answer, signal), isKept: false }
  }

  #begin(key: string, ref: GivenSecretRef, host: AskedHost, signal: AbortSignal): Running {
    const waiting = new Set([signal])
    const ask = async () => {
      // A program is not run for nobody: it may count, or lock, what it gives.
      if ([...waiting].some(({ aborted }) => !aborted)) return await this.#ask(ref, host)
      this.#running.delete(key)
      throw stopped()
    }
    const answer = this.#inTurn(ref, ask).then(
      (value) => {
        this.#running.delete(key)
        if (ref.gives !== 'certificate') this.#mask(value)
        if (ref.ttlS > 0) this.#keep(key, value, performance.now() + ref.ttlS * 1_000)
        return value
      },
      (error: unknown) => {
        if (this.#running.get(key) === running) this.#running.delete(key)
        throw error
      },
    )
    const running = { answer, waiting }
    this.#running.set(key, running)
    // Everybody who waits may have left.
    answer.catch(() => {})
    return running
  }

  async #inTurn(ref: GivenSecretRef, ask: () => Promise<string>): Promise<string> {
    const askedMs = performance.now()
    if (this.#free > 0) this.#free -= 1
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      const isLate = performance.now() - askedMs > TURN_MS
      const why = `has not had its turn within ${TURN_MS / 1_000} s; ${RUNS_AT_ONCE} run at once`
      if (isLate) throw new CommandFailed('invalid_config', `the credential command ${ref.argv[0]} ${why}`)
      return await ask()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free += 1
      else next()
    }
  }

  #keep(key: string, value: string, untilMs: number): void {
    const now = performance.now()
    if (this.#kept.size >= KEPT_LIMIT) {
      for (const [old, { untilMs: until }] of this.#kept) if (until <= now) this.#kept.delete(old)
      const [oldest] = this.#kept.keys()
      if (this.#kept.size >= KEPT_LIMIT && oldest !== undefined) this.#kept.delete(oldest)
    }
    this.#kept.set(key, { value, untilMs })
  }

  #mask(value: string): void {
    if (this.#masked.delete(value)) {
      this.#masked.add(value)
      return
    }
    this.#masked.add(value)
    this.#scrubber.add(value)
    const [oldest] = this.#masked
    if (this.#masked.size <= MASKED_LIMIT || oldest === undefined) return
    this.#masked.delete(oldest)
    this.#scrubber.remove(oldest)
  }
}

/** Waits for it, but not beyond the signal. */
async function unlessAborted<T>(awaited: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) throw stopped()
  const listening = new AbortController()
  const aborted = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(stopped()), { signal: listening.signal })
  })
  try {
    return await Promise.race([awaited, aborted])
  } finally {
    listening.abort()
  }
}

function stopped(): CommandFailed {
  return new CommandFailed('invalid_config', 'the run was stopped before its secret was there')
}
