/**
 * A script as a program reads it that is not its stdin: from a descriptor of its own. Its text is in no process list, and
 * in no file with a name.
 */
import { interpreterOf, quoteWord } from './quote.ts'
import { bytesOf } from './remote-command.ts'
import { type LaunchText, prepared, readWhole } from './shell-text.ts'

/** To this length a here-document carries a script; a longer one goes through a file without a name. */
const HERE_LIMIT_BYTES = 4_096
const NEWLINE = 0x0a

/**
 * For a POSIX shell that is not restricted, on a host with /dev/fd. `body` follows the text at once, where the script is
 * not in it.
 */
export function scriptText(
  { script, args = [] }: { readonly script: string | Buffer; readonly args?: readonly string[] },
  text: LaunchText,
): { text: Buffer; body?: Buffer } {
  const words = interpreterOf(script) ?? ['sh']
  const run = (fd: number) => `${prepared(text)}; exec ${[...words, `/dev/fd/${fd}`, ...args].map(quoteWord).join(' ')}`
  const bytes = bytesOf(script)
  const isShort = bytes.length <= HERE_LIMIT_BYTES && bytes.at(-1) === NEWLINE && !bytes.includes(0)
  const end = `muster-${text.nonce}`
  if (isShort) return { text: readWhole(`${run(3)} 3<<'${end}'\n${bytes}${end}`) }
  // The file has lost its name before the first byte is in it. It is opened three times, as each place is read or
  // written from its own beginning; `4<&4` is for ksh93 and mksh, which close what they have opened themselves.
  const file = `\${TMPDIR:-/tmp}/.muster-${text.nonce}`
  const take = [
    `muster=${file}`,
    '( umask 077; set -C; : >"$muster" ) && exec 3>|"$muster" 4<"$muster" 5<"$muster" && rm -f "$muster"',
    `head -c ${bytes.length} >&3 && [ "$(wc -c <&5)" -eq ${bytes.length} ] && exec 3>&- 5<&-`,
  ]
  const line = `${take[0]}; ${take[1]} && ${take[2]} && {\n${run(4)} 4<&4\n}`
  return { text: readWhole(line), body: bytes }
}
