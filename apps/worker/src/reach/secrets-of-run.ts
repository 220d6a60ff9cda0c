/**
 * The secrets that one run needs, from wherever they are. It knows which of them were kept from an earlier question, so
 * that they can be asked for again when a host has refused them: somebody may have replaced them since.
 */
import { type GivenSecretRef, readSecret, type SecretRef, type SecretSources } from '@muster/inventory'
import type { AskedSecrets } from './asked-secrets.ts'
import { type AskedHost, CommandFailed } from './credential-command.ts'

/** Where secrets come from. */
export type RunSecretSources = SecretSources & { readonly asked: AskedSecrets }

type Kept = { readonly ref: GivenSecretRef; readonly host: AskedHost; readonly value: string }

/** Reads secrets for one run. */
export class SecretsOfRun {
  readonly #sources: RunSecretSources
  readonly #signal: AbortSignal
  #kept: Kept[] = []
  readonly #failures = new Set<string>()

  constructor(sources: RunSecretSources, signal: AbortSignal) {
    this.#sources = sources
    this.#signal = signal
  }

  /** Why programs gave no secret: what a host says to the other credentials is not all that there is to say. */
  get failures(): readonly string[] {
    return [...this.#failures]
  }

  /**
   * The secret for this log-in.
   * @throws {MusterError} as `readSecret` and `AskedSecrets` do
   */
  async read(ref: SecretRef, host: AskedHost): Promise<string> {
    if (ref.kind !== 'command') return await readSecret(ref, this.#sources)
    try {
      const { value, isKept } = await this.#sources.asked.get(ref, host, this.#signal)
      if (isKept) this.#kept.push({ ref, host, value })
      return value
    } catch (error) {
      if (error instanceof CommandFailed) this.#failures.add(error.message)
      throw error
    }
  }

  /**
   * Asks again for what was kept, once. Whether anything is another secret now: only then is another log-in worth the
   * risk of locking an account.
   */
  async renew(): Promise<boolean> {
    const kept = this.#kept.splice(0)
    const renewed = await Promise.allSettled(
      kept.map(async ({ ref, host, value }) => {
        const now = await this.#sources.asked.get(ref, host, this.#signal, value)
        return now.value !== value
      }),
    )
    return renewed.some((result) => result.status === 'fulfilled' && result.value)
  }
}
