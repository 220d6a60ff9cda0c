/**
 * Answers the questions of a host (keyboard-interactive) with a password, in any language: the first question that is
 * asked alone and whose answer is hidden gets it, and no other. The words of a question are not interpreted.
 */
import type { KeyboardInteractiveAuthMethod } from 'ssh2'
import { printable } from '../verdict/failure.ts'

/** Hosts send messages as requests without a question; PAM sends one after each answer. */
const REQUESTS_LIMIT = 10
/** A host may ask thousands of questions at once. */
const QUESTIONS_SHOWN = 3

/** What an exchange reports to the log-in. */
export type PromptEvents = {
  /** The password is on its way. */
  readonly onSent: () => void
  /** There is no answer to the question. Returns true if something else is left to try after the host's refusal. */
  readonly onUnanswerable: (why: string) => boolean
}

/** The questions of one exchange. */
export class PasswordPrompts {
  readonly #password: string
  readonly #events: PromptEvents
  #requests = 0
  #answered: string | undefined

  constructor(password: string, events: PromptEvents) {
    this.#password = password
    this.#events = events
  }

  /** The question that got the password, in quotes. Undefined before that. */
  get answered(): string | undefined {
    return this.#answered
  }

  /** Counts a request of the host, with or without questions. False: it is one too many, and gets no answer. */
  countRequest(): boolean {
    this.#requests += 1
    if (this.#requests <= REQUESTS_LIMIT) return true
    this.#events.onUnanswerable(`it sent more than ${REQUESTS_LIMIT} requests without an end`)
    return false
  }

  /** Answers one request. ssh2 itself answers requests without a question. */
  readonly answer: KeyboardInteractiveAuthMethod['prompt'] = (name, instructions, _language, questions, finish) => {
    const [first] = questions
    const why = first === undefined ? undefined : this.#whyNot(questions, `${name} ${instructions}`)
    if (why !== undefined) {
      // Only where another method follows: an empty answer to a question for a code may count as a wrong code.
      if (this.#events.onUnanswerable(why)) finish(questions.map(() => ''))
      return
    }
    if (first === undefined) return finish([])
    this.#answered = quoted(first.prompt)
    this.#events.onSent()
    finish([this.#password])
  }

  #whyNot(questions: readonly { readonly prompt: string; readonly echo?: boolean }[], said: string) {
    const words = questions
      .slice(0, QUESTIONS_SHOWN)
      .map(({ prompt }) => quoted(prompt))
      .join(' and ')
    const asked = said.trim() === '' ? words : `${words} (it said ${quoted(said)})`
    if (this.#answered !== undefined) {
      const causes = 'the password is wrong or has expired, or a second factor is wanted'
      return `refused: after the password it asked ${asked}, for which there is no answer: ${causes}`
    }
    if (questions.length > 1) {
      const rule = 'the password is given to one that is asked alone'
      return `it asked ${questions.length} questions at once, ${asked}; ${rule}`
    }
    if (questions.some(({ echo }) => echo !== false)) {
      return `it asked ${asked} with the answer to be shown; the password is given to a hidden question only`
    }
    return undefined
  }
}

function quoted(text: string): string {
  return JSON.stringify(printable(text))
}
