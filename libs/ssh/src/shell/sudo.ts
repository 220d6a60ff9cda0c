/**
 * The line that goes past sudo to another user: the hello comes from inside, so that process group, limits and kill of
 * the command are that user's. Carries no secret: a password is answered to a prompt (sudo-dialogue.ts), and the command
 * is sent when sudo has let us through (launcher-channel.ts). Sends nothing by itself.
 *
 * sudo has to allow the account to run `sh`, because that is what is started: a rule for single programs is not enough.
 */
import { MusterError } from '@muster/contract'
import { helloProgram } from './hello.ts'
import { quoteWord } from './quote.ts'

/** Who to become, and what to answer when sudo asks. */
export type Sudo = {
  readonly user: string
  /** That of the account. Absent: sudo is told not to ask (`-n`). */
  readonly password?: string
}

/** sudo 1.8 reads so much of a password, and leaves the rest in the command's input. @see sudo_plugin.h, SUDO_CONV_REPL_MAX */
const PASSWORD_LIMIT_BYTES = 255

/** Texts that only our own line prints, and that the line itself does not hold: a shell may print what it is asked. */
export type SudoMarks = {
  /** Right before sudo is started. */
  readonly reached: string
  /** sudo's prompt. */
  readonly prompt: string
}

/** What is printed on the way, for a nonce; on either stream, as they may be merged. */
export function sudoMarks(nonce: string): SudoMarks {
  return { reached: `muster-sudo-${nonce}:`, prompt: `muster-asks-${nonce}:` }
}

/**
 * The line that says hello from inside sudo. Each word of it can be read by csh and fish too: no quote, backslash,
 * exclamation mark or line end.
 *
 * sudo's messages are in English, as they are looked at; the command gets LC_ALL back as it was.
 */
export function sudoLine({ user, password }: Sudo, nonce: string): string {
  const ask = password === undefined ? '-n' : '-k -S -p "muster-asks-$3:"'
  const outside = [
    'printf "muster-sudo-%s:" "$3" >&2',
    `exec env LC_ALL=C sudo ${ask} -u "$1" -- sh -c "$2" sh "$4" "\${LC_ALL-}"`,
  ].join('; ')
  return `exec sh -c ${[outside, 'sh', user, INSIDE, nonce, helloProgram(nonce)].map(quoteWord).join(' ')}`
}

/** sudo runs its command in its own process group, which nobody but sudo could be killed with: hence setsid. */
const INSIDE = [
  `if [ "\${LC_ALL-}" = C ]; then LC_ALL=$2; [ -n "$2" ] || unset LC_ALL; fi`,
  'own=setsid',
  // As the leader of a group already, setsid would fork, and sudo would not wait for the fork. This is the spelling that
  // dash, bash and busybox share.
  'kill -0 "-$$" 2>/dev/null && own=',
  'command -v setsid >/dev/null || own=',
  'exec $own sh -c "$1"',
].join('; ')

/**
 * Refuses what would not reach sudo as it is meant.
 * @throws {MusterError} invalid_request
 */
export function checkSudo({ user, password }: Sudo): void {
  if (!/^[A-Za-z_][A-Za-z0-9_.-]*$/.test(user)) {
    const message = `${JSON.stringify(user)} is no name of a user: use letters, digits, "_", "." and "-"`
    throw new MusterError('invalid_request', message, { details: { field: 'run_as' } })
  }
  if (password !== undefined) checkSudoPassword(password)
}

/**
 * Refuses a password whose rest sudo would leave in the input of the command.
 * @throws {MusterError} invalid_request; the text holds nothing of the password
 */
export function checkSudoPassword(password: string): void {
  if (/[\n\r\0]/.test(password) || Buffer.byteLength(password) > PASSWORD_LIMIT_BYTES) {
    const message = `the sudo password is not one line of at most ${PASSWORD_LIMIT_BYTES} bytes`
    throw new MusterError('invalid_request', message)
  }
}
