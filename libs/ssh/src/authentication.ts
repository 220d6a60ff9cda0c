/**
 * Logging in: which credential is offered when. Keys first, then the agent, then the password; each once, and none that
 * the host does not take. The password leaves once: in answer to a question where the host asks (keyboard-interactive),
 * as ssh does, else by the method `password`.
 *
 * Keeps a list of what was tried for the error text: names of files and methods, never a secret. Knows nothing of
 * sockets; connection.ts hands `next` to ssh2.
 */
import type { AnyAuthMethod, AuthenticationType } from 'ssh2'
import { readPrivateKey } from './keys.ts'
import { PasswordPrompts } from './password-prompts.ts'

/** Something to log in with. */
export type Credential =
  | {
      readonly kind: 'key'
      readonly pem: Buffer | string
      /** Absent when the key is not encrypted. */
      readonly passphrase?: string
      /** Where the key is from, for error texts: a file name. */
      readonly source: string
    }
  /** Also given to a question of the host, the first that is asked alone and hidden. */
  | { readonly kind: 'password'; readonly password: string }
  | { readonly kind: 'agent'; readonly socket: string }

/** One log-in under way. */
export type Login = {
  /** What to try next; false when nothing is left. */
  next(): AnyAuthMethod | false
  /** What the host says to a refusal: the methods that it takes, and whether what was tried was accepted as a part. */
  hear(offered: readonly string[], isPartial: boolean): void
  /** Counts a request of the host for answers. False: there were too many, and it is to be left alone. */
  countRequest(): boolean
  /** Keeps in the list why the present attempt could not be made. */
  note(problem: string): void
  /** What was tried and what became of it, for people; and whether the host has refused any of it. */
  outcome(): { readonly tried: string; readonly isRefused: boolean }
}

type Attempt = {
  readonly method: AnyAuthMethod
  /** What a refusal means, where it means more than that the credential is not taken. */
  readonly refusal?: () => { readonly outcome: string; readonly isRefused: boolean }
}

type Step = {
  readonly label: string
  /** The name of the method in the protocol: the agent's is publickey too. */
  readonly method: AuthenticationType
  readonly make: () => Attempt | { readonly problem: string }
}

/** The name of a method is shown only where it looks like one, and not more of them than there are. */
const METHOD = /^[a-z][a-z0-9@.-]{0,63}$/
const METHODS_SHOWN = 8

const NO_ANSWER = 'no answer'
const REFUSED = { outcome: 'refused', isRefused: true }

/**
 * A log-in of this user with these credentials.
 * @param giveUp is told when the host asks what there is no answer for, and nothing else is left to try
 */
export function planLogin(user: string, credentials: readonly Credential[], giveUp: () => void): Login {
  return new PlannedLogin(user, credentials, giveUp)
}

class PlannedLogin implements Login {
  readonly #user: string
  readonly #credentials: readonly Credential[]
  readonly #giveUp: () => void
  readonly #steps: Step[]
  readonly #past: { readonly label: string; outcome: string; isRefused: boolean }[] = []
  #offered: readonly string[] | undefined
  #isPartial = false
  #attempt: Attempt | undefined
  #prompts: PasswordPrompts | undefined
  /** What became of the password: whoever refused it once is not given it again. */
  #password: 'not sent' | 'sent' | 'accepted' = 'not sent'

  constructor(user: string, credentials: readonly Credential[], giveUp: () => void) {
    this.#user = user
    this.#credentials = credentials
    this.#giveUp = giveUp
    this.#steps = [
      ...credentials.flatMap((credential) => this.#keySteps(credential)),
      ...credentials.flatMap((credential) => this.#agentSteps(credential)),
      ...credentials.flatMap((credential) => this.#passwordSteps(credential)),
    ]
  }

  next(): AnyAuthMethod | false {
    this.#settle()
    const offered = this.#offered
    // A password is not sent blindly: which of two methods takes it, the host has to say first.
    if (offered === undefined && this.#steps[0]?.method === 'keyboard-interactive') {
      return { type: 'none', username: this.#user }
    }
    for (;;) {
      const place = this.#steps.findIndex(({ method }) => offered === undefined || offered.includes(method))
      const [step] = place === -1 ? [] : this.#steps.splice(place, 1)
      if (step === undefined) break
      const attempt = step.make()
      const outcome = 'problem' in attempt ? attempt.problem : NO_ANSWER
      this.#past.push({ label: step.label, outcome, isRefused: false })
      if ('problem' in attempt) continue
      this.#attempt = attempt
      return attempt.method
    }
    for (const { label } of this.#steps.splice(0)) {
      this.#past.push({ label, outcome: 'not taken by this host', isRefused: false })
    }
    return false
  }

  hear(offered: readonly string[], isPartial: boolean): void {
    this.#offered = offered
    // The agent has many keys, of which one may have been accepted before others were not.
    this.#isPartial ||= isPartial
  }

  countRequest(): boolean {
    return this.#prompts?.countRequest() ?? true
  }

  note(problem: string): void {
    const present = this.#past.at(-1)
    if (present?.outcome !== NO_ANSWER) return
    present.outcome = problem
    present.isRefused = problem.startsWith(REFUSED.outcome)
  }

  outcome(): { tried: string; isRefused: boolean } {
    if (this.#credentials.length === 0) return { tried: 'no credential is configured for this host', isRefused: false }
    const tried = this.#past.map(({ label, outcome }) => `${label}: ${outcome}`).join('; ') || 'nothing was tried yet'
    return { tried, isRefused: this.#past.some(({ isRefused }) => isRefused) }
  }

  /** Puts down what became of the present attempt, now that the host wants another. */
  #settle(): void {
    const present = this.#past.at(-1)
    if (this.#isPartial && this.#password === 'sent') this.#password = 'accepted'
    if (present?.outcome === NO_ANSWER) {
      const wanted = this.#offered?.filter((method) => METHOD.test(method)).slice(0, METHODS_SHOWN) ?? []
      const partial = { outcome: `accepted, but the host wants more: ${wanted.join(', ')}`, isRefused: false }
      Object.assign(present, this.#isPartial ? partial : (this.#attempt?.refusal?.() ?? REFUSED))
    }
    this.#isPartial = false
    this.#attempt = undefined
    this.#prompts = undefined
  }

  #keySteps(credential: Credential): Step[] {
    if (credential.kind !== 'key') return []
    const make: Step['make'] = () => {
      const usable = readPrivateKey(credential.pem, credential.passphrase)
      if ('problem' in usable) return usable
      return { method: { type: 'publickey', username: this.#user, key: usable.key } }
    }
    return [{ label: `key ${credential.source}`, method: 'publickey', make }]
  }

  #agentSteps(credential: Credential): Step[] {
    if (credential.kind !== 'agent') return []
    const agent = credential.socket
    const make: Step['make'] = () => {
      if (agent === '') return { problem: 'no socket is given; is SSH_AUTH_SOCK set?' }
      return { method: { type: 'agent', username: this.#user, agent } }
    }
    return [{ label: `agent ${agent}`, method: 'publickey', make }]
  }

  #passwordSteps(credential: Credential): Step[] {
    if (credential.kind !== 'password') return []
    const { password } = credential
    const username = this.#user
    return [
      {
        label: 'password to a question (keyboard-interactive)',
        method: 'keyboard-interactive',
        make: () => this.#awaitQuestions(password),
      },
      {
        label: 'password',
        method: 'password',
        make: () => {
          if (this.#password === 'sent') return { problem: 'not sent again' }
          this.#password = 'sent'
          return { method: { type: 'password', username, password } }
        },
      },
    ]
  }

  #awaitQuestions(password: string): Attempt | { problem: string } {
    if (this.#password === 'sent') return { problem: 'not sent again' }
    if (this.#password === 'accepted')
      return { problem: 'the password is given already, and is all there is to answer' }
    const prompts = new PasswordPrompts(password, {
      onSent: () => {
        this.#password = 'sent'
      },
      onUnanswerable: (why) => {
        this.note(why)
        const isMoreLeft =
          this.#password === 'not sent' && this.#steps.some(({ method }) => this.#offered?.includes(method))
        if (!isMoreLeft) this.#giveUp()
        return isMoreLeft
      },
    })
    this.#prompts = prompts
    return {
      method: { type: 'keyboard-interactive', username: this.#user, prompt: prompts.answer },
      refusal: () => {
        if (prompts.answered === undefined) return { outcome: 'it asked no question', isRefused: false }
        return { outcome: `refused, after it had asked ${prompts.answered}`, isRefused: true }
      },
    }
  }
}
