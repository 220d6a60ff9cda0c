/**
 * What is sent to a host to start a durable command, or to find one again, and to follow its output.
 *
 *   launcher (holds nothing of the command) → directory → "input" → the files of the command → supervisor → follower
 *
 * So a host that was never heard to say "input" has certainly not got the command. `mkdir` of the run's directory lets
 * one launcher through, whatever was sent how often. Who only looks, and finds none, makes it himself, so that a
 * launcher that comes late finds it taken. The last word is the link of supervisor and fence to the same name
 * (command-files.ts). Does not open channels (follow.ts).
 */
import type { OutputStream } from '@muster/contract'
import { quoteWord } from '../shell/quote.ts'
import type { RemoteCommand } from '../shell/remote-command.ts'
import { type DurableFile, durableFiles } from './command-files.ts'
import { followScript, type Offsets } from './follower.ts'
import { ATTACH, FENCE, findRun, isSealed, limitOf, PROCESS_START, READ_CLAIM } from './place.ts'
import type { DurableRun } from './run.ts'
import { type DurableLimits, supervisorScript } from './supervisor.ts'

/** What to send: a program for sh, and what it asks for, in pieces. */
export type DurableLaunch = { readonly program: string; readonly input: readonly Buffer[] | undefined }

/** How to write a launcher. */
export type DurableLaunchOptions = {
  /** Begins every line of the follower. */
  readonly nonce: string
  /** What is there of the output already. */
  readonly from: Offsets
  readonly limits: DurableLimits
  /** Absent: nothing is started, and it is made sure that nothing starts later. */
  readonly command: RemoteCommand | undefined
  /** Where the follower writes; the account may have no other stream. */
  readonly writesTo: OutputStream
}

/**
 * What to send to start a command, unless it was sent before, and to follow it. `input` is for when the host asks
 * for it, and is the only thing that holds anything of the command.
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

/** What was sent from here made the directory: where it is gone, nobody can tell any more what came of the command. */
function findAgain(run: DurableRun): string {
  return `is_sure || refuse unsure
${run.wasSent ? '[ -d "$muster_dir" ] || { say end:missing; exit 0; }' : ATTACH}`
}

/**
 * The directory comes first, and whoever makes it is the one that starts: so the command is only sent to a host that
 * remembers it. A launcher that is cut off on its way, and then writes to nobody, still takes it back. What is sent
 * waits in a file that has lost its name before its first byte is there. The supervisor is told its seals through a
 * pipe, so that they are in no file, and on no command line.
 */
function startScript(run: DurableRun, files: readonly DurableFile[], limits: DurableLimits): string {
  const length = files.reduce((sum, { bytes }) => sum + bytes.length, 0)
  // dd reads exactly so much, where head of busybox reads on.
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
    say "input:$muster_place" || give_up
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
