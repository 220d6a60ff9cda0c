/**
 * Logging in: which credential is offered when. Keys first, then the agent, then the password (as such, and to a
 * prompt that asks for one); each once, and none the host does not take.
 *
 * Keeps a list of what was tried for the error text: names of files and methods, never a secret. Knows nothing of
 * sockets; connection.ts hands `next` to ssh2.
 */
import type { AnyAuthMethod, AuthenticationType, KeyboardInteractiveAuthMethod } from 'ssh2'
import { printable } from './failure.ts'
import { readPrivateKey } from './keys.ts'

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
  /** Also given to a prompt of the host (keyboard-interactive) that asks for a password, and to no other. */
  | { readonly kind: 'password'; readonly password: string }
  | { readonly kind: 'agent'; readonly socket: string }

/** One log-in under way. */
export type Login = {
  /** What to try next; false when nothing is left. The host says which methods it takes, except at first. */
  next(offered: readonly AuthenticationType[] | null, isPartial: boolean | null): AnyAuthMethod | false
  /** Keeps in the list why the present attempt could not be made. */
  note(problem: string): void
  /** What was tried and what became of it, for people; and whether the host has refused any of it. */
  outcome(): { readonly tried: string; readonly isRefused: boolean }
}

type Step = {
  readonly label: string
  /** The name of the method in the protocol: the agent's is publickey too. */
  readonly method: AuthenticationType
  readonly make: (note: (problem: string) => void) => AnyAuthMethod | { readonly problem: string }
}

/** A log-in of this user with these credentials. */
export function planLogin(user: string, credentials: readonly Credential[]): Login {
  const steps = [
    ...credentials.flatMap((credential) => keySteps(user, credential)),
    ...credentials.flatMap((credential) => agentSteps(user, credential)),
    ...credentials.flatMap((credential) => passwordSteps(user, credential)),
  ]
  const past: { label: string; outcome: string }[] = []
  const settle = (from: string, to: string) => {
    const present = past.at(-1)
    if (present?.outcome === from) present.outcome = to
  }
  const note = (problem: string) => settle('no answer', problem)
  return {
    next: (offered, isPartial) => {
      settle('no answer', isPartial === true ? 'accepted, but the host wants more' : 'refused')
      for (let step = steps.shift(); step !== undefined; step = steps.shift()) {
        if (offered !== null && !offered.includes(step.method)) {
          past.push({ label: step.label, outcome: 'not taken by this host' })
          continue
        }
        const attempt = step.make(note)
        past.push({ label: step.label, outcome: 'problem' in attempt ? attempt.problem : 'no answer' })
        if (!('problem' in attempt)) return attempt
      }
      return false
    },
    note,
    outcome: () => {
      if (credentials.length === 0) return { tried: 'no credential is configured for this host', isRefused: false }
      const tried = past.map(({ label, outcome }) => `${label}: ${outcome}`).join('; ') || 'nothing was tried yet'
      return { tried, isRefused: past.some(({ outcome }) => outcome.startsWith('refused')) }
    },
  }
}

function keySteps(username: string, credential: Credential): Step[] {
  if (credential.kind !== 'key') return []
  const make: Step['make'] = () => {
    const usable = readPrivateKey(credential.pem, credential.passphrase)
    return 'problem' in usable ? usable : { type: 'publickey', username, key: usable.key }
  }
  return [{ label: `key ${credential.source}`, method: 'publickey', make }]
}

function agentSteps(username: string, credential: Credential): Step[] {
  if (credential.kind !== 'agent') return []
  const agent = credential.socket
  const make: Step['make'] = () =>
    agent === '' ? { problem: 'no socket is given; is SSH_AUTH_SOCK set?' } : { type: 'agent', username, agent }
  return [{ label: `agent ${agent}`, method: 'publickey', make }]
}

function passwordSteps(username: string, credential: Credential): Step[] {
  if (credential.kind !== 'password') return []
  const { password } = credential
  return [
    { label: 'password', method: 'password', make: () => ({ type: 'password', username, password }) },
    {
      label: 'password to a prompt (keyboard-interactive)',
      method: 'keyboard-interactive',
      make: (note) => ({ type: 'keyboard-interactive', username, prompt: answerPrompts(password, note) }),
    },
  ]
}

/**
 * Answers one prompt, once, and only if it asks for the password there is: never one for a new password or a code,
 * and never a second time, as that is how a host says that the first was wrong. Everything else gets an empty answer.
 */
function answerPrompts(password: string, note: (problem: string) => void): KeyboardInteractiveAuthMethod['prompt'] {
  let isGiven = false
  return (_name, _instructions, _language, prompts, finish) => {
    const answers = prompts.map(({ prompt }) => {
      const isForPassword = /password/i.test(prompt) && !/new|again|retype|one.?time/i.test(prompt)
      if (!isForPassword) note(`refused: it asked ${JSON.stringify(printable(prompt))}, for which there is no answer`)
      const answer = isForPassword && !isGiven ? password : ''
      isGiven ||= isForPassword
      return answer
    })
    finish(answers)
  }
}
