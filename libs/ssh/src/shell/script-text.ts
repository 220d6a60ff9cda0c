/**
 * A script that its interpreter reads from a descriptor of its own, not from stdin. The file behind it loses its name
 * before its first byte is written. So the text is in no process list, nothing stays behind, and the script can be read
 * again under `$0`.
 */
import { neverWords } from '../output/start-marks.ts'
import { quoteWord, scriptWords } from './quote.ts'
import { bytesOf } from './remote-command.ts'
import { type LaunchText, prepared, quoteOf } from './shell-text.ts'

/**
 * The text for an unrestricted POSIX shell on a host with /dev/fd; `body` follows it at once. So the text is one line,
 * however long: `head` of busybox reads ahead, and would swallow the beginning of the body. The file is opened three
 * times, as each descriptor has a position of its own; `4<&4` is for ksh93 and mksh, which close descriptors that they
 * opened themselves.
 */
export function scriptText(
  { script, args }: { readonly script: string | Buffer; readonly args?: readonly string[] },
  text: LaunchText,
): { readonly text: Buffer; readonly body: Buffer } {
  // An sh may be unable to write a line end in a word: there it is $1.
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
