/**
 * Explains to people why an account did not say hello, from what it said instead. Nothing was sent, and nothing has
 * started. Recognises shells, servers and devices by their own words.
 */
import { printable } from '../verdict/failure.ts'

const KNOWN: readonly (readonly [RegExp, string])[] = [
  [
    /is not recognized as|Environment variable .* not defined|CommandNotFoundException|ParserError|Microsoft Windows/is,
    'the shell of the account is one of Windows (cmd or PowerShell): a POSIX shell, fish or tcsh is needed, for ' +
      'example bash as DefaultShell of OpenSSH for Windows',
  ],
  [/account is (?:currently )?not available|nologin/i, 'the account may not run commands: its shell is nologin'],
  [
    /^\W*(?:% ?\w|(?:error: )?(?:invalid input|(?:unrecognized|unknown|invalid|bad) command))/im,
    'the command line of a device or a program answers, and not a shell: a POSIX shell, fish or tcsh is needed',
  ],
]

/** The explanation. `how` says what ended the waiting. */
export function explainNoHello(said: string, how: string): string {
  const words = printable(said)
  const quoted = words === '' ? '' : `: ${words}`
  const known = KNOWN.find(([pattern]) => pattern.test(said))?.[1]
  if (known !== undefined) return `${known} (${how})${quoted}`
  return `the shell of the account did not get as far as running a line (${how})${quoted || '; it said nothing'}${HINT}`
}

const HINT =
  '. The cause may be a start-up file that ends or replaces the shell, waits or asks, or a forced command: ' +
  'see what `ssh HOST true` does'
