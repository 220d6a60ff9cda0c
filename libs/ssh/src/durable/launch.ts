/**
 * What is sent to a host to start a durable command, or to find one again, and to follow its output.
 *
 *   launcher (without the command) → directory → "input" → the files of the command → supervisor → follower
 *
 * So a host that was never heard to say "input" certainly does not have the command. `mkdir` of the run's directory
 * lets one launcher through, however many were sent. A follower that only looks and finds no directory makes it, so
 * that a launcher that comes late finds it taken. The claim decides in the end: command and fence both link to the same
 * name (command-files.ts). Does not open channels (follow.ts).
 */
import type { OutputStream } from '@muster/contract'
import { quoteWord } from '../shell/quote.ts'
import type { RemoteCommand } from '../shell/remote-command.ts'
import { type DurableFile, durableFiles } from './command-files.ts'
import { followScript, type Offsets } from './follower.ts'
import type { DurableRun } from './run.ts'
import { ATTACH, FENCE, findRun, isSealed, limitOf, PROCESS_START, READ_CLAIM } from './run-directory.ts'
import { type DurableLimits, supervisorScript } from './supervisor.ts'

/** What to send: a program for sh, and the files it asks for, in pieces. */
export type DurableLaunch = { readonly program: string; readonly input: readonly Buffer[] | undefined }

/** How to write a launcher. */
export type DurableLaunchOptions = {
  /** Begins every line of the follower. */
  readonly nonce: string
  /** How much of the output was already taken. */
  readonly from: Offsets
  readonly limits: DurableLimits
  /** Undefined: nothing is started, and nothing can start later. */
  readonly command: RemoteCommand | undefined
  /** The stream the follower writes to; the account may have no other. */
  readonly writesTo: OutputStream
}

/**
 * What to send to start a command, unless it was sent before, and to follow it. `input` is sent when the host asks for
 * it, and only `input` holds anything of the command.
 * @throws {MusterError} invalid_request: the command cannot be expressed
 */
export function writeDurable(
  run: DurableRun,
  { nonce, from, limits, command, writesTo }: DurableLaunchOptions,
): DurableLaunch {
  const files = command && durableFiles(command)
  const program = `exec ${writesTo === 'stderr' ? '>&2 ' : ''}2>/dev/null
say() { echo "muster-${nonce}:$1"; }
say begin || exit 125
exec 5<&0
refuse() { say "refused:$1"; exit 0; }
${FENCE}
${PROCESS_START}
${READ_CLAIM}
${isSealed(run)}
${findRun(run)}
[ -r /proc/sys/kernel/random/boot_id ] && [ -r "/proc/$$/stat" ] || refuse no_proc
[ -e "$muster_base" ] || mkdir -m 700 "$muster_base"
is_private "$muster_base" || refuse base
${files === undefined || run.wasSent ? findAgain(run) : startScript(run, files, limits)}
is_private "$muster_dir" || refuse dir
${followScript(from, limits)}`
  return { program, input: files?.map(({ bytes }) => bytes) }
}

/** A launcher sent from here made the directory: if it is gone, nobody can tell how the command ended. */
function findAgain(run: DurableRun): string {
  return `is_sure || refuse unsure
${run.wasSent ? '[ -d "$muster_dir" ] || { say end:missing; exit 0; }' : ATTACH}`
}

/**
 * The directory comes first, and the launcher that makes it is the one that starts: so the command is only sent to a
 * host that remembers it. A launcher that is cut off, and then writes to nobody, still fences the run. The files arrive
 * in one that has lost its name before its first byte is written. The supervisor gets its seals through a pipe, so that
 * they are in no file, and on no command line.
 */
function startScript(run: DurableRun, files: readonly DurableFile[], limits: DurableLimits): string {
  const length = files.reduce((sum, { bytes }) => sum + bytes.length, 0)
  // dd reads exactly this much; head of busybox reads ahead.
  const split = files.map(({ name, bytes }) =>
    bytes.length === 0 ? `: >"$muster_dir/${name}"` : `dd bs=${bytes.length} count=1 <&7 >"$muster_dir/${name}"`,
  )
  return `give_up() { fence; refuse unwritable; }
if [ ! -d "$muster_dir" ]; then
  for program in setsid mkfifo dd head wc; do command -v $program >/dev/null || refuse "no_$program"; done
  ${files.some(({ name }) => name === 'script') ? '[ -e /dev/fd/0 ] || refuse no_devfd' : ':'}
  if mkdir -m 700 "$muster_dir"; then
    trap : PIPE
    spool=$muster_dir/spool
    ( umask 077; set -C; : >"$spool" ) && exec 6>|"$spool" 7<"$spool" 8<"$spool" && rm -f "$spool" || give_up
    say "input:$muster_parent" || give_up
    head -c ${length} <&5 >&6
    [ "$(wc -c <&8)" -eq ${length} ] || give_up
    ( umask 077
      ${split.join(' &&\n      ')} &&
      printf %s ${quoteWord(supervisorScript(limits))} >"$muster_dir/supervisor" &&
      echo ${limitOf(limits.execTimeoutMs)} >"$muster_dir/limits" &&
      : >"$muster_dir/out" && : >"$muster_dir/err" && mkdir "$muster_dir/go" &&
      mkfifo "$muster_dir/out.fifo" "$muster_dir/err.fifo" ) || give_up
    echo ${run.seal} ${run.stopSeal} |
      setsid setsid sh "$muster_dir/supervisor" "$muster_dir" >/dev/null 5<&- 6>&- 7<&- 8<&-
    exec 6>&- 7<&- 8<&-
    trap - PIPE
  fi
fi`
}
