/**
 * Chooses which credential to offer when: keys first, then the agent, then the password; each once, and only by methods
 * that the host accepts. The password is sent once: as the answer to a question where the host asks one
 * (keyboard-interactive), as ssh does, else by the method `password`.
 *
 * Keeps a list of what was tried for the error text: names of files and methods, never a secret. Knows nothing of
 * sockets; log-in.ts hands `next` to ssh2.
 */
import { fingerprintOf, type UsedCredential } from '@muster/contract'
import type { AnyAuthMethod, AuthenticationType, ParsedKey } from 'ssh2'
import { type Certificate, doubtsAbout, faultOf, readCertificate } from './certificate.ts'
import { certifiedKey } from './certified-key.ts'
import { readPrivateKey, readPublicKey } from './keys.ts'
import { type AgentLimits, askingBeforeSha1, LoginAgent } from './login-agent.ts'
import { PasswordPrompts } from './password-prompts.ts'

/** Something to log in with. */
export type Credential =
  | {
      readonly kind: 'key'
      readonly pem: Buffer | string
      /** Absent when the key is not encrypted. */
      readonly passphrase?: string
      /** How a missing passphrase is given. Absent: as an inventory does. */
      readonly passphraseAdvice?: string
      /** The key's file name, for error texts. */
      readonly source: string
      /** The content of the `.pub` file beside it. Absent where there is none. */
      readonly publicHalf?: Buffer | string
      /** The content of the file with its certificate. It is offered before the key alone. */
      readonly certificate?: Buffer | string
      /**
       * The socket of an agent that may hold the private half, where `pem` is the public one or cannot be decrypted.
       */
      readonly agent?: string
    }
  /** A key that was made for one run, with its certificate. */
  | { readonly kind: 'run_key'; readonly key: ParsedKey; readonly certificate: Certificate }
  /** Also the answer to the host's first question that is asked alone and hidden. */
  | { readonly kind: 'password'; readonly password: string }
  | { readonly kind: 'agent'; readonly socket: string }

/** Whether a host may be shown a certificate. */
export function isCertified(credential: Credential): boolean {
  return credential.kind === 'run_key' || (credential.kind === 'key' && credential.certificate !== undefined)
}

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

type Attempt = {
  readonly method: AnyAuthMethod
  /** What the host has, if it accepts the attempt. */
  readonly used: () => UsedCredential
  /** What a refusal means, where it means more than that the credential is not accepted. */
  readonly refusal?: () => { readonly outcome: string; readonly isRefused: boolean }
  /** What to say if the attempt could not be made for this reason. */
  readonly told?: (why: string) => string
}

type Step = {
  readonly label: string
  /** The name of the method in the protocol: the agent's is publickey too. */
  readonly method: AuthenticationType
  readonly make: () => Attempt | { readonly problem: string }
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

/** Explains the refusal of a key whose `.pub` file holds another key, which may be the one enrolled on the host. */
function explainRefusal(source: string, key: ParsedKey, besides: ParsedKey | undefined): Pick<Attempt, 'refusal'> {
  const [own, other] = [key, besides].map((one) => one?.getPublicSSH())
  if (own === undefined || other === undefined || own.equals(other)) return {}
  const which = `${source}.pub is another key (${fingerprintOf(other)}) than this one (${fingerprintOf(own)})`
  const outcome = `refused; ${which}; "ssh-keygen -y -f" with the file shows the public half to enrol`
  return { refusal: () => ({ outcome, isRefused: true }) }
}

function usedKey(kind: 'key' | 'agent', key: ParsedKey | undefined): UsedCredential {
  const blob = key?.getPublicSSH()
  return { kind, fingerprint: blob === undefined ? null : fingerprintOf(blob) }
}

function usedCertificate({ publicKey, keyId, serial, authority }: Certificate): UsedCredential {
  const certificate = { key_id: keyId, serial: String(serial), authority: fingerprintOf(authority) }
  return { kind: 'certificate', fingerprint: fingerprintOf(publicKey), certificate }
}

function usedPassword(): UsedCredential {
  return { kind: 'password', fingerprint: null }
}

class PlannedLogin implements Login {
  readonly #user: string
  readonly #credentials: readonly Credential[]
  readonly #maySha1: () => boolean
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
    this.#maySha1 = () => {
      this.#hasUsedSha1 ||= withSha1
      return withSha1
    }
    this.#credentials = credentials
    this.#events = events
    this.#steps = [
      ...credentials.flatMap((credential) => this.#keySteps(credential)),
      ...credentials.flatMap((credential) => this.#agentSteps(credential)),
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

  #keySteps(credential: Credential): Step[] {
    if (credential.kind === 'run_key') {
      const { key, certificate } = credential
      const make = () => this.#certified(key, certificate)
      return [{ label: `certificate of the run (${certificate.keyId})`, method: 'publickey', make }]
    }
    if (credential.kind !== 'key') return []
    const username = this.#user
    const make: Step['make'] = () => {
      const usable = readPrivateKey(credential)
      const { publicHalf = '', agent = '' } = credential
      const besides = readPublicKey(publicHalf)
      if ('key' in usable) {
        const key = askingBeforeSha1(usable.key, this.#maySha1)
        return {
          method: { type: 'publickey', username, key },
          used: () => usedKey('key', usable.key),
          ...explainRefusal(credential.source, usable.key, besides),
        }
      }
      const only = usable.publicKey ?? besides
      if (only === undefined) return usable
      if (agent === '') return { problem: `${usable.problem}; an agent may hold it, and SSH_AUTH_SOCK is not set` }
      return this.#heldByAgent(agent, only, usable.problem)
    }
    const alone: Step = { label: `key ${credential.source}`, method: 'publickey', make }
    if (credential.certificate === undefined) return [alone]
    const text = credential.certificate
    const withCertificate = () => this.#certificateStep(credential, text)
    return [{ label: `certificate of ${credential.source}`, method: 'publickey', make: withCertificate }, alone]
  }

  /** The key with the certificate that lies beside it. Its private half may be with an agent. */
  #certificateStep(credential: Extract<Credential, { kind: 'key' }>, text: Buffer | string): ReturnType<Step['make']> {
    const certificate = readCertificate(text)
    if ('problem' in certificate) return certificate
    const usable = readPrivateKey(credential)
    const { publicHalf = '', agent = '' } = credential
    const key = 'key' in usable ? usable.key : (usable.publicKey ?? readPublicKey(publicHalf))
    if (key === undefined) return { problem: 'problem' in usable ? usable.problem : 'it has no public half' }
    const fault = faultOf(certificate, key.getPublicSSH())
    if (fault !== undefined) return { problem: fault }
    if ('key' in usable) return this.#certified(key, certificate)
    if (agent === '') return usable
    const { shown } = certifiedKey(key, certificate)
    const held = new LoginAgent(agent, { only: key, shown, ...this.#agentLimits })
    const method = { type: 'agent', username: this.#user, agent: held } as const
    const told = (why: string) => `${usable.problem}, or hand it to the agent (ssh-add): ${why}`
    return { method, used: () => usedCertificate(certificate), told, refusal: () => this.#refusalOf(certificate) }
  }

  #certified(key: ParsedKey, certificate: Certificate): Attempt {
    const { shown } = certifiedKey(key, certificate)
    return {
      method: { type: 'publickey', username: this.#user, key: shown },
      used: () => usedCertificate(certificate),
      refusal: () => this.#refusalOf(certificate),
    }
  }

  #refusalOf(certificate: Certificate): ReturnType<NonNullable<Attempt['refusal']>> {
    const doubts = doubtsAbout(certificate, this.#user, Date.now())
    return { outcome: ['refused', ...doubts].join('; '), isRefused: true }
  }

  /** One key of an agent: the agent may hold a private key that cannot be used from its file. */
  #heldByAgent(socket: string, only: ParsedKey, problem: string): Attempt {
    const print = fingerprintOf(only.getPublicSSH())
    const agent = new LoginAgent(socket, { only, ...this.#agentLimits })
    const told = (why: string) => `${problem}, or hand it to the agent (ssh-add): ${why}, ${print}`
    return { method: { type: 'agent', username: this.#user, agent }, used: () => usedKey('agent', only), told }
  }

  get #agentLimits(): AgentLimits {
    return { maySha1: this.#maySha1, onAsked: this.#events.onAgentAsked }
  }

  #agentSteps(credential: Credential): Step[] {
    if (credential.kind !== 'agent') return []
    const { socket } = credential
    const make: Step['make'] = () => {
      if (socket === '') return { problem: 'no socket is given; is SSH_AUTH_SOCK set?' }
      const agent = new LoginAgent(socket, this.#agentLimits)
      const used = () => usedKey('agent', agent.signedWith)
      return { method: { type: 'agent', username: this.#user, agent }, used }
    }
    return [{ label: `agent ${socket}`, method: 'publickey', make }]
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
