/**
 * Jump hosts that have refused our log-in, or that have shown a key which is not to be trusted: each host behind one
 * would cost another refused log-in there, until the account is locked. Remembered for a while and for these very
 * credentials and known_hosts; whoever changes them is believed at once. Does not dial.
 */
import type { KnownHosts } from '../connect/known-hosts.ts'
import type { Failure } from '../verdict/failure.ts'

const REMEMBER_MS = 300_000

type Refusal = { readonly why: Failure; readonly known: KnownHosts; readonly atMs: number }

/** What is remembered of the log-ins at jump hosts. */
export class RefusedJumps {
  readonly #refusals = new Map<string, Refusal>()

  /** Why this log-in is not to be tried again yet. Undefined: it may be. */
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

  /** Remembers a refusal of the jump host itself; whatever else went wrong may go better the next time. */
  note(key: string, known: KnownHosts, why: Failure): void {
    const isLogIn = why.reason === 'auth_failed' && why.isHostsFault
    const isHostKey = why.reason === 'host_key_unknown' || why.reason === 'host_key_changed'
    if (isLogIn || isHostKey) this.#refusals.set(key, { why, known, atMs: performance.now() })
  }
}
