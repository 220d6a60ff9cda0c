/**
 * The command of a durable run as files for its host: a sh program that becomes the command, the text of a script, and
 * the command's stdin. The program removes all three from the disk before anything of the command runs.
 *
 *   claim (a hard link: once) → files removed → directory, environment → the proof that it began → command
 *
 * The proof is a file in the directory `go`. Whoever finds the command gone and no proof removes that directory; from
 * then on the command cannot be reached, so "not started" is certain. Sends nothing (launch.ts).
 */
import { execWords, quoteWord, scriptWords } from '../shell/quote.ts'
import { bytesOf, checkCommand, inputOf, pathForCd, type RemoteCommand } from '../shell/remote-command.ts'

/** One file of a command. Its bytes may be many, and shared by many runs. */
export type DurableFile = { readonly name: 'command' | 'script' | 'input'; readonly bytes: Buffer }

/**
 * The files of a command.
 * @throws {MusterError} invalid_request: the command cannot be expressed
 */
export function durableFiles(command: RemoteCommand): readonly DurableFile[] {
  checkCommand(command)
  const { form } = command
  const input = inputOf(command)
  return [
    { name: 'command', bytes: Buffer.from(commandScript(command)) },
    ...('script' in form ? [{ name: 'script' as const, bytes: bytesOf(form.script) }] : []),
    ...(input === undefined ? [] : [{ name: 'input' as const, bytes: input }]),
  ]
}

/**
 * The claim is a hard link, which appears in one step, with its content, and only once. Only positional parameters are
 * set: a variable might be one of the command's environment. $1: the shell that reads a command text; $2: the directory
 * of the run, in characters that every shell takes literally.
 */
function commandScript(command: RemoteCommand): string {
  const { form, cwd, env = {}, sudo } = command
  return [
    '{',
    // Under sudo SHELL is the other user's, which is nologin for most service users.
    sudo === undefined ? `set -- "\${SHELL:-/bin/sh}" "$1"` : 'set -- /bin/sh "$1"',
    'read -r muster_stat </proc/$$/stat && read -r muster_boot </proc/sys/kernel/random/boot_id || exit',
    `set -- "$1" "$2" \${muster_stat##*) }`,
    `echo "$$ \${22} $muster_boot" >"$2/claim.new" && ln "$2/claim.new" "$2/claim" || exit`,
    'unset muster_stat muster_boot',
    // As descriptor 3, by whose name the file is opened again: stdin is the command's own.
    ...('script' in form ? ['exec 3<"$2/script" || exit'] : []),
    'rm -f "$2/command" "$2/script" "$2/input" "$2/claim.new"',
    ...(cwd === undefined
      ? []
      : [`cd -- ${quoteWord(pathForCd(cwd))} || { set -- "$2" $?; ${PROOF('$1')}; exit "$2"; }`]),
    ...Object.entries(env).map(([name, value]) => `export ${name}=${quoteWord(value)}`),
    ...becomeLines(form),
    '}',
    '',
  ].join('\n')
}

/** Text that sh, csh and fish all read, using builtins only. */
const PROOF = (dir: string) => `: >${dir}/go/reached || exit`

function becomeLines(form: RemoteCommand['form']): string[] {
  // The account's shell is started for it and reads its start-up files first, which may do anything.
  if ('command' in form) return [`exec "$1" -c "${PROOF('$2')}\n"${quoteWord(form.command)}`]
  if ('argv' in form) return [PROOF('$2'), execWords(form.argv)]
  // Some shells close such a descriptor for the programs they start, unless it is named there.
  return [PROOF('$2'), `${execWords(scriptWords(form.script, 3, form.args))} 3<&3`]
}
