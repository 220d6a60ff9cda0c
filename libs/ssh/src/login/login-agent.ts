/**
 * An SSH agent as one log-in may use it: all of its keys, or a single one. A host counts the keys it is shown and ends
 * the log-in after a few, so where a key is named the host is shown only that one.
 */

import ssh2, { type ParsedKey, type SignCallback, type SigningRequestOptions } from 'ssh2'
import { hashOf } from './certified-key.ts'

/** What a log-in may do with its agent. */
export type AgentLimits = {
  /** The one key to use. Absent: all that the agent holds. */
  readonly only?: ParsedKey
  /** What the host is shown instead of that key: the key with its certificate. */
  readonly shown?: ParsedKey
  /** Asked before an RSA key signs with SHA-1: whether it may. */
  readonly maySha1: () => boolean
  /** Called when the agent is asked for something, and when it has answered: it may ask a person, or be frozen. */
  readonly onAsked: (isAsked: boolean) => void
}

/** Why a key does not sign: signatures with SHA-1 can be forged. */
const SHA1_ONLY = 'the host takes RSA signatures with SHA-1 only; give it another key, or "algorithms: legacy"'

type Identities = Parameters<InstanceType<typeof ssh2.OpenSSHAgent>['getIdentities']>[0]

/** An agent for one log-in. */
export class LoginAgent extends ssh2.BaseAgent<ParsedKey> {
  readonly #socket: string
  readonly #agent: InstanceType<typeof ssh2.OpenSSHAgent>
  readonly #limits: AgentLimits
  #signedWith: ParsedKey | undefined

  constructor(socket: string, limits: AgentLimits) {
    super()
    this.#socket = socket
    this.#agent = new ssh2.OpenSSHAgent(socket)
    this.#limits = limits
  }

  /** The key that has signed last: a host that accepts a log-in accepts this one. Undefined: none has. */
  get signedWith(): ParsedKey | undefined {
    return this.#signedWith
  }

  override getIdentities(done: Identities): void {
    const { only, onAsked } = this.#limits
    onAsked(true)
    this.#agent.getIdentities((error, held) => {
      onAsked(false)
      if (error && only !== undefined) return done(new Error(`the agent ${this.#socket}: ${error.message}`))
      if (error || only === undefined) return done(error, held)
      const blob = only.getPublicSSH()
      const key = held?.find((one) => 'getPublicSSH' in one && one.getPublicSSH().equals(blob))
      if (key === undefined) done(new Error(`the agent ${this.#socket} does not hold it`))
      else done(undefined, [this.#limits.shown ?? key])
    })
  }

  override sign(
    key: ParsedKey,
    data: Buffer,
    options: SigningRequestOptions | SignCallback,
    done?: SignCallback,
  ): void {
    const tell = typeof options === 'function' ? options : done
    const isSha1 = typeof options === 'object' && options.hash === 'sha1'
    if (isSha1 && !this.#limits.maySha1()) {
      tell?.(new Error(SHA1_ONLY))
      return
    }
    const { onAsked, only, shown } = this.#limits
    onAsked(true)
    // For a key with its certificate the key signs, which the agent holds.
    const signer = shown === undefined ? key : (only ?? key)
    const hash = shown === undefined ? undefined : hashOf(signer)
    const how = hash === undefined ? options : { hash }
    this.#agent.sign(signer, data, typeof how === 'function' ? {} : how, (error, signature) => {
      onAsked(false)
      if (!error) this.#signedWith = key
      tell?.(error, signature)
    })
  }
}

/** The same key, but it asks before it signs with SHA-1. */
export function askingBeforeSha1(key: ParsedKey, maySha1: () => boolean): ParsedKey {
  const guarded: ParsedKey = Object.create(key)
  // The type does not say that ssh2 accepts an error as the answer.
  Reflect.set(guarded, 'sign', (data: Buffer, hash?: string) =>
    hash === 'sha1' && !maySha1() ? new Error(SHA1_ONLY) : key.sign(data, hash),
  )
  return guarded
}
