/**
 * The line that goes through sudo to another user. The hello comes from inside, so process group, limits and kill of
 * the command are that user's. Holds no secret: a password is the answer to a prompt (sudo-dialogue.ts), and the
 * command is sent when sudo has let us through (launcher-channel.ts). Sends nothing itself.
 *
 * sudo must allow the account to run `sh`, because `sh` is started: a rule for single programs is not enough.
 */
import { MusterError, SudoPassword } from '@muster/contract'
import { helloProgram } from './hello.ts'
import { quoteWord } from './quote.ts'

/** Who to become, and what to answer when sudo asks. */
export type Sudo = {
  readonly user: string
  /** The account's password. Absent: sudo is told not to ask (`-n`). */
  readonly password?: string
}

/** Texts that only our line prints and does not itself contain: a shell may print the line it was given. */
export type SudoMarks = {
  /** Right before sudo is started. */
  readonly reached: string
  /** sudo's prompt. */
  readonly prompt: string
}

/** What the line prints on its way, for a nonce; on either stream, as they may be merged. */
export function sudoMarks(nonce: string): SudoMarks {
  return { reached: `muster-sudo-${nonce}:`, prompt: `muster-asks-${nonce}:` }
}

/**
 * The line that says hello from inside sudo. csh and fish can read every word of it too: no quote, backslash,
 * exclamation mark or line end.
 *
 * sudo speaks English, because its messages are matched; the command gets LC_ALL back as it was.
 */
export function sudoLine({ user, password }: Sudo, nonce: string): string {
  const ask = password === undefined ? '-n' : '-k -S -p "muster-asks-$3:"'
  const outside = [
    'printf "muster-sudo-%s:" "$3" >&2',
    `exec env LC_ALL=C sudo ${ask} -u "$1" -- sh -c "$2" sh "$4" "\${LC_ALL-}"`,
  ].join('; ')
  return `exec sh -c ${[outside, 'sh', user, INSIDE, nonce, helloProgram(nonce)].map(quoteWord).join(' ')}`
}

/** sudo runs its command in sudo's own process group, so a kill of the group would hit sudo too: hence setsid. */
const INSIDE = [
  `if [ "\${LC_ALL-}" = C ]; then LC_ALL=$2; [ -n "$2" ] || unset LC_ALL; fi`,
  'own=setsid',
  // For the leader of a group setsid would fork, and sudo would not wait for the fork. This is the spelling that dash,
  // bash and busybox share.
  'kill -0 "-$$" 2>/dev/null && own=',
  'command -v setsid >/dev/null || own=',
  'exec $own sh -c "$1"',
].join('; ')

/**
 * Refuses a user or password that would not reach sudo unchanged.
 * @throws {MusterError} invalid_request
 */
export function checkSudo({ user, password }: Sudo): void {
  if (!/^[A-Za-z_][A-Za-z0-9_.-]*$/.test(user)) {
    const message = `${JSON.stringify(user)} is not a user name: use letters, digits, "_", "." and "-"`
    throw new MusterError('invalid_request', message, { details: { field: 'run_as' } })
  }
  if (password !== undefined) checkSudoPassword(password)
}

/**
 * Refuses a password whose rest sudo would leave in the input of the command.
 * @throws {MusterError} invalid_request; the text holds nothing of the password
 */
export function checkSudoPassword(password: string): void {
  const parsed = SudoPassword.safeParse(password)
  if (parsed.error !== undefined) throw new MusterError('invalid_request', parsed.error.issues[0]?.message ?? '')
}
