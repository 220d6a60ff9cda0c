/**
 * Remembers jump hosts that have refused our log-in, or shown a key that is not trusted: each host behind one would
 * cost another refused log-in there, until the account is locked. Remembers for a while, and for the same credentials
 * and known_hosts: a change of these counts at once. Does not dial.
 */
import type { KnownHosts } from '@muster/contract'
import type { Failure } from '../verdict/failure.ts'

const REMEMBER_MS = 300_000

type Refusal = { readonly why: Failure; readonly known: KnownHosts; readonly atMs: number }

/** Refused log-ins at jump hosts. */
export class RefusedJumps {
  readonly #refusals = new Map<string, Refusal>()

  /** Why this log-in must not be tried again yet. Undefined: it may be tried. */
  find(key: string, known: KnownHosts): Failure | undefined {
    const refusal = this.#refusals.get(key)
    if (refusal === undefined) return undefined
    const agoMs = performance.now() - refusal.atMs
    if (agoMs > REMEMBER_MS || refusal.known !== known) {
      this.#refusals.delete(key)
      return undefined
    }
    const [ago, again] = [agoMs, REMEMBER_MS - agoMs].map((ms) => Math.ceil(ms / 1_000))
    const { detail } = refusal.why
    return { ...refusal.why, detail: `${detail} (${ago} s ago; it is asked again in ${again} s)` }
  }

  /** Remembers a refusal by the jump host itself; anything else may go better the next time. */
  note(key: string, known: KnownHosts, why: Failure): void {
    const isLogIn = why.reason === 'auth_failed' && why.isHostsFault
    const isHostKey = why.reason === 'host_key_unknown' || why.reason === 'host_key_changed'
    if (isLogIn || isHostKey) this.#refusals.set(key, { why, known, atMs: performance.now() })
  }
}
