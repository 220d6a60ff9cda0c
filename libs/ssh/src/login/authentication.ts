/**
 * Chooses which credential to offer when: keys first, then the agent, then the password; each once, and only by methods
 * that the host accepts. The password is sent once: as the answer to a question where the host asks one
 * (keyboard-interactive), as ssh does, else by the method `password`.
 *
 * Keeps a list of what was tried for the error text: names of files and methods, never a secret. Knows nothing of
 * sockets; log-in.ts hands `next` to ssh2.
 */
import type { UsedCredential } from '@muster/contract'
import type { AnyAuthMethod } from 'ssh2'
import type { Attempt, Step } from './attempt.ts'
import type { Credential } from './credential.ts'
import { agentSteps, type KeyLogin, keySteps } from './key-steps.ts'
import { PasswordPrompts } from './password-prompts.ts'

/** One log-in under way. */
export type Login = {
  /** What to try next; false when nothing is left. */
  next(): AnyAuthMethod | false
  /** Takes the host's refusal: the methods it accepts, and whether the attempt was accepted as one part. */
  hear(offered: readonly string[], isPartial: boolean): void
  /** Counts a request of the host for answers. False: there were too many, and it gets no answer. */
  countRequest(): boolean
  /** Records why the present attempt could not be made. */
  note(problem: string): void
  /** Whether an RSA key has signed with SHA-1. */
  hasUsedSha1(): boolean
  /** What the host has accepted, in order; with the present attempt once it `isLoggedIn`. */
  accepted(isLoggedIn: boolean): UsedCredential[]
  /** What was tried, with its result, for people; and whether the host has refused any of it. */
  outcome(): { readonly tried: string; readonly isRefused: boolean }
}

/** Only valid names of methods are shown, and no more of them than exist. */
const METHOD = /^[a-z][a-z0-9@.-]{0,63}$/
const METHODS_SHOWN = 8

const NO_ANSWER = 'no answer'
const REFUSED = { outcome: 'refused', isRefused: true }

/** Who logs in, and with what. */
export type LoginOptions = {
  readonly user: string
  readonly credentials: readonly Credential[]
  /** Whether RSA keys may sign with SHA-1, which hosts from before 2016 need. */
  readonly withSha1: boolean
}

/** What a log-in reports. */
export type LoginEvents = {
  /** The host asks a question without an answer, and nothing else is left to try. */
  readonly giveUp: () => void
  /** The agent was asked for something, or has answered. */
  readonly onAgentAsked: (isAsked: boolean) => void
}

/** Plans a log-in. */
export function planLogin(options: LoginOptions, events: LoginEvents): Login {
  return new PlannedLogin(options, events)
}

function usedPassword(): UsedCredential {
  return { kind: 'password', fingerprint: null }
}

class PlannedLogin implements Login {
  readonly #user: string
  readonly #credentials: readonly Credential[]
  #hasUsedSha1 = false
  readonly #events: LoginEvents
  readonly #steps: Step[]
  readonly #past: { readonly label: string; outcome: string; isRefused: boolean }[] = []
  #offered: readonly string[] | undefined
  #isPartial = false
  #attempt: Attempt | undefined
  /** What the host accepted as one part of several. */
  readonly #accepted: UsedCredential[] = []
  #prompts: PasswordPrompts | undefined
  /** How far the password got: a host that refused it is not given it again. */
  #password: 'not sent' | 'sent' | 'accepted' = 'not sent'

  constructor({ user, credentials, withSha1 }: LoginOptions, events: LoginEvents) {
    this.#user = user
    this.#credentials = credentials
    this.#events = events
    const maySha1 = () => {
      this.#hasUsedSha1 ||= withSha1
      return withSha1
    }
    const login: KeyLogin = { user, agent: { maySha1, onAsked: events.onAgentAsked } }
    this.#steps = [
      ...credentials.flatMap((credential) => keySteps(credential, login)),
      ...credentials.flatMap((credential) => agentSteps(credential, login)),
      ...credentials.flatMap((credential) => this.#passwordSteps(credential)),
    ]
  }

  next(): AnyAuthMethod | false {
    this.#settle()
    const offered = this.#offered
    // The password is not sent blindly: the host must say first which of two methods it accepts.
    if (offered === undefined && this.#steps[0]?.method === 'keyboard-interactive') {
      return { type: 'none', username: this.#user }
    }
    for (;;) {
      const index = this.#steps.findIndex(({ method }) => offered === undefined || offered.includes(method))
      const [step] = index === -1 ? [] : this.#steps.splice(index, 1)
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
    present.outcome = this.#attempt?.told?.(problem) ?? problem
    present.isRefused = problem.startsWith(REFUSED.outcome)
  }

  hasUsedSha1(): boolean {
    return this.#hasUsedSha1
  }

  accepted(isLoggedIn: boolean): UsedCredential[] {
    const last = isLoggedIn && this.#attempt !== undefined ? [this.#attempt.used()] : []
    return [...this.#accepted, ...last]
  }

  outcome(): { tried: string; isRefused: boolean } {
    if (this.#credentials.length === 0) return { tried: 'no credential is configured for this host', isRefused: false }
    const tried = this.#past.map(({ label, outcome }) => `${label}: ${outcome}`).join('; ') || 'nothing was tried yet'
    return { tried, isRefused: this.#past.some(({ isRefused }) => isRefused) }
  }

  /** Records the result of the present attempt, now that the host wants another. */
  #settle(): void {
    const present = this.#past.at(-1)
    if (this.#isPartial && this.#password === 'sent') this.#password = 'accepted'
    if (this.#isPartial && this.#attempt !== undefined) this.#accepted.push(this.#attempt.used())
    if (present?.outcome === NO_ANSWER) {
      const wanted = this.#offered?.filter((method) => METHOD.test(method)).slice(0, METHODS_SHOWN) ?? []
      const partial = { outcome: `accepted, but the host wants more: ${wanted.join(', ')}`, isRefused: false }
      Object.assign(present, this.#isPartial ? partial : (this.#attempt?.refusal?.() ?? REFUSED))
    }
    this.#isPartial = false
    this.#attempt = undefined
    this.#prompts = undefined
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
          return { method: { type: 'password', username, password }, used: usedPassword }
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
        if (!isMoreLeft) this.#events.giveUp()
        return isMoreLeft
      },
    })
    this.#prompts = prompts
    return {
      method: { type: 'keyboard-interactive', username: this.#user, prompt: prompts.answer },
      used: usedPassword,
      refusal: () => {
        if (prompts.answered === undefined) return { outcome: 'it asked no question', isRefused: false }
        return { outcome: `refused, after it had asked ${prompts.answered}`, isRefused: true }
      },
    }
  }
}
