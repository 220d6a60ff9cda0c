/**
 * The command of a durable run as files for its host: a sh program that becomes the command, the text of a script, and
 * what the command reads from its stdin. The program takes all three off the disk before anything of the command runs.
 *
 *   claim (a hard link: once) → files removed → directory, environment → the command's own first act: the proof → command
 *
 * The proof is a file in the directory `go`. Who finds the command gone and no proof removes the directory, and from
 * then on the command cannot be reached: so "not started" is certain. Sends nothing (launch.ts).
 */
import { execWords, quoteWord, scriptWords } from '../shell/quote.ts'
import { bytesOf, checkCommand, inputOf, pathForCd, type RemoteCommand } from '../shell/remote-command.ts'

/** A file that is sent of a command. Its bytes may be shared by many runs, and they may be many. */
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
 * The claim is a hard link, which comes into being at once, with its content, and once only. Only positional parameters
 * are set: a variable might be one of the command's environment. $1: the shell that reads a command text; $2: the
 * directory of the run, of characters that no shell reads as anything else.
 */
function commandScript(command: RemoteCommand): string {
  const { form, cwd, env = {}, sudo } = command
  return [
    '{',
    // Under sudo SHELL is that of the other user, which for most that services run as is nologin.
    sudo === undefined ? `set -- "\${SHELL:-/bin/sh}" "$1"` : 'set -- /bin/sh "$1"',
    'read -r muster_stat </proc/$$/stat && read -r muster_boot </proc/sys/kernel/random/boot_id || exit',
    `set -- "$1" "$2" \${muster_stat##*) }`,
    `echo "$$ \${22} $muster_boot" >"$2/claim.new" && ln "$2/claim.new" "$2/claim" || exit`,
    'unset muster_stat muster_boot',
    // As descriptor 3, and the file is read anew by its name there: stdin is the command's own.
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

/** Readable by sh, csh and fish alike, and by builtins alone. */
const PROOF = (dir: string) => `: >${dir}/go/reached || exit`

function becomeLines(form: RemoteCommand['form']): string[] {
  // The account's shell is started for it, and reads its start-up files first, which may do anything.
  if ('command' in form) return [`exec "$1" -c "${PROOF('$2')}\n"${quoteWord(form.command)}`]
  if ('argv' in form) return [PROOF('$2'), execWords(form.argv)]
  // Some shells close such a descriptor for what they execute, unless it is named there.
  return [PROOF('$2'), `${execWords(scriptWords(form.script, 3, form.args))} 3<&3`]
}
