/**
 * The dialogue with sudo, and the answers to it:
 *
 *   reached → prompt → answer → hello       (no prompt under NOPASSWD: then no answer)
 *                 └ prompt again → give up  (the password was wrong)
 *
 * Everything before the hello comes from sudo or the account, never from the command; the last of it explains a
 * refusal. Streams may be merged, so both are heard. launcher-channel.ts reads and writes them.
 */
import type { OutputStream } from '@muster/contract'
import { type Failure, failure, printable } from '../verdict/failure.ts'
import { type Sudo, sudoMarks } from './sudo.ts'

/** What to do next. `answer`: send the password, once. `give_up`: end the input. */
export type SudoStep = 'wait' | 'answer' | 'give_up'

/** How much is kept: more than any message of sudo, and far more than a mark. */
const HEARD_LIMIT_BYTES = 8_192

/** How a person gives a password that neither the job nor the inventory has: no agent sees it in this way. */
const ASK_FOR_IT = 'a person can give it: muster rerun JOB --ask-sudo-pass'

/** One way through sudo. */
export class SudoDialogue {
  readonly #sudo: Sudo
  readonly #marks: ReturnType<typeof sudoMarks>
  readonly #heard: Record<OutputStream, Buffer> = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) }
  /** What came before the last prompt, where sudo prints its lecture. */
  #earlier = ''
  #isReached = false
  #prompts = 0

  constructor(sudo: Sudo, nonce: string) {
    this.#sudo = sudo
    this.#marks = sudoMarks(nonce)
  }

  /** Takes the next bytes of a stream, cut anywhere, and returns what to do. */
  take(stream: OutputStream, bytes: Buffer): SudoStep {
    this.#heard[stream] = Buffer.concat([this.#heard[stream], bytes])
    if (this.#cutThrough(stream, this.#marks.reached) !== undefined) this.#isReached = true
    let step: SudoStep = 'wait'
    for (;;) {
      const said = this.#cutThrough(stream, this.#marks.prompt)
      if (said === undefined) break
      this.#earlier = said
      this.#prompts += 1
      step = this.#prompts === 1 && this.#sudo.password !== undefined ? 'answer' : 'give_up'
    }
    this.#heard[stream] = this.#heard[stream].subarray(-HEARD_LIMIT_BYTES)
    return step
  }

  /** What to write for an `answer`. */
  answer(): string {
    return `${this.#sudo.password}\n`
  }

  /** Why there was no way through; nothing of the command was sent. `how` says what ended the dialogue. */
  refusal(how: string): Failure {
    const said = this.#said()
    const words = said === '' ? '' : `: ${said}`
    if (!this.#isReached) {
      return failure('channel_refused', `the shell of the account did not start sudo (${how})${words}`)
    }
    if (this.#prompts > 1) return failure('sudo_denied', `sudo did not take the password${words}`)
    // "authentication" is the word of sudo-rs.
    if (this.#sudo.password === undefined && /(password|authentication) is required/.test(said)) {
      const detail = `sudo wants a password, and there is none for this host; ${ASK_FOR_IT}${this.#ruleHint()}${words}`
      return failure('sudo_password_required', detail)
    }
    const hint = /not allowed to (?:execute|run)/.test(said) ? this.#ruleHint() : ''
    return failure('sudo_denied', `sudo did not start the command (${how})${hint}${words}`)
  }

  /** Every command is started by an sh, which a rule for single programs does not allow. */
  #ruleHint(): string {
    const { user } = this.#sudo
    return `; its rule must allow sh, as in "ACCOUNT ALL=(${user}) NOPASSWD: /bin/sh" (see \`sudo -l\`)`
  }

  /** Drops what was heard up to the end of this text and returns what came before it; undefined if it is not there. */
  #cutThrough(stream: OutputStream, text: string): string | undefined {
    const heard = this.#heard[stream]
    const at = heard.indexOf(text)
    if (at === -1) return undefined
    this.#heard[stream] = heard.subarray(at + text.length)
    return heard.toString('utf8', 0, at)
  }

  #said(): string {
    const last = `${this.#heard.stderr} ${this.#heard.stdout}`
    const text = last.trim() === '' ? this.#earlier : last
    const { password = '' } = this.#sudo
    // A host that repeats what it was told must not bring the password into a text of ours.
    return printable(password === '' ? text : text.replaceAll(password, '***'))
  }
}
