/**
 * A script as a program reads it that is not its stdin: from a descriptor of its own, of a file that has lost its name
 * before the first byte is in it. So its text is in no process list, nothing stays behind, and it can be read again
 * under `$0`.
 */
import { neverWords } from '../output/start-marks.ts'
import { quoteWord, scriptWords } from './quote.ts'
import { bytesOf } from './remote-command.ts'
import { type LaunchText, prepared, quoteOf } from './shell-text.ts'

/**
 * For a POSIX shell that is not restricted, on a host with /dev/fd; `body` follows the text at once. So the text is one
 * line, however long: `head` of busybox reads on, and would take the beginning of the body. The file is opened three
 * times, as each place is read or written from its own beginning; `4<&4` is for ksh93 and mksh, which close what they
 * have opened themselves.
 */
export function scriptText(
  { script, args }: { readonly script: string | Buffer; readonly args?: readonly string[] },
  text: LaunchText,
): { readonly text: Buffer; readonly body: Buffer } {
  // An sh may have no word for a line end: there it is $1.
  const quote = text.shell === 'sh' ? quoteByParameter : quoteOf(text)
  const words = scriptWords(script, 4, args)
    .map((word) => quote(word))
    .join(' ')
  const body = bytesOf(script)
  const name = `muster=$muster/.muster-${text.nonce}`
  const make = '( umask 077; set -C; : >"$muster" ) 2>/dev/null'
  const open = '[ -f "$muster" ] && exec 3>|"$muster" 4<"$muster" 5<"$muster" && rm -f "$muster"'
  const fill = `head -c ${body.length} >&3 && [ "$(wc -c <&5)" -eq ${body.length} ] && exec 3>&- 5<&-`
  const line = [
    ...(text.shell === 'sh' ? [`set -- "$(printf '\\nx')"; set -- "\${1%x}"`] : []),
    `for muster in "\${TMPDIR:-/tmp}" /dev/shm /var/tmp "\${HOME-/}"; do ${name}; ${make} && break; done`,
    `if ${open} && ${fill}; then ${prepared(text, quote)}; exec ${words} 4<&4`,
    `else ${neverWords(text.nonce)}; exit 1; fi`,
  ].join('; ')
  return { text: Buffer.from(`${line} #end\n`), body }
}

function quoteByParameter(word: string): string {
  return quoteWord(word).replaceAll('\n', () => `'"$1"'`)
}
