/**
 * The supervisor: the process that stays on a host while a durable command runs. It starts the command in a session of
 * its own, keeps its clocks, and writes down how it ended.
 *
 * Files of a run (all owner-only): `command`, `script` and `input`, until the command is there; `supervisor`; `limits`;
 * `keeper` and `claim` (pid and start time of the supervisor and of the command; the boot ID); `go/reached`, the proof
 * that the command was reached; `out` and `err`; `cause`, when it is being stopped; `result`. Output goes through
 * FIFOs, so that /dev/stdout is a pipe, as in attached mode, and never a file that a second open would truncate.
 * launch.ts starts the supervisor.
 */
import { killScript } from '../channel/kill.ts'
import { HARD_STOP_BYTES } from '../output/output-cap.ts'
import { limitOf, PROCESS_START, READ_CLAIM, strangerGuard } from './run-directory.ts'

/** The clocks and limits that the host itself keeps. */
export type DurableLimits = {
  /** From the command's start; then it is killed. */
  readonly execTimeoutMs: number
  /** The longest silence; then it is killed. Absent: it may be silent for ever. */
  readonly idleTimeoutMs?: number
  /** Between TERM and KILL. */
  readonly killGraceMs: number
  /** How much a stream may write before the command is killed; 64 MiB by default. */
  readonly hardStopBytes?: number
}

/** The age at which a run that nobody fetched is removed. A command that still runs is left alone at any age. */
const SWEEP_DAYS = 7
/** How long processes that the command left behind may hold its output after its end. */
const READERS_S = 2

/**
 * The supervisor's text. It reads the seals of result and stop from its stdin, as any process of the account could read
 * a file, and keeps them in variables that are never exported. Its clock is /proc/uptime, read without a process.
 *
 * The exit status is the one the shell waited for. Whether a status above 128 was a signal follows from the message
 * that the shell prints for a signal. If this shell prints none for that signal (a process killed by it is tried at
 * once), the result says "unsure". A command that was not reached never will be: the directory for its proof is
 * removed.
 *
 * The clocks go on without their supervisor, should it be killed, but not without the directory: when that is gone
 * before a command was seen there is none, and afterwards it is killed at its limit and nothing is left to do.
 */
export function supervisorScript({
  execTimeoutMs,
  killGraceMs,
  idleTimeoutMs,
  hardStopBytes = HARD_STOP_BYTES,
}: DurableLimits): string {
  const kill = killScript({ pid: '$pid', isGroup: true }, killGraceMs, strangerGuard('$pid', '"$started"'))
  return `{
muster_dir=$1
[ -z "\${BASH_VERSION-}" ] || command set +o posix 2>/dev/null
exec 2>/dev/null
unset muster_seal muster_stop
read -r muster_seal muster_stop
exec </dev/null
now() {
  read -r muster_now _ </proc/uptime
  muster_now=\${muster_now%.*}\${muster_now#*.}
}
${PROCESS_START}
${READ_CLAIM}
stop_group() {
(
[ -n "$started" ] || exit 1
${kill}
)
}
is_stopped() {
  muster_seen=
  read -r muster_seen muster_cause <"$muster_dir/cause" && [ "$muster_seen" = "$muster_stop" ]
}
watch() {
  trap - TERM
  now
  began=$muster_now changed=$muster_now size= limit_cs=${limitOf(execTimeoutMs)}
  while :; do
    [ -d "$muster_dir" ] || [ -n "\${seen-}" ] || exit
    wait_cs=100
    if [ -n "\${seen-}" ] || read_claim; then
      now
      [ -n "\${seen-}" ] || { seen=yes changed=$muster_now; }
      read -r limit <"$muster_dir/limits"
      case $limit in *[!0-9]*|'') ;; *) limit_cs=$limit;; esac
      set -- $(wc -c "$muster_dir/out" "$muster_dir/err")
      [ "$1 $3" = "$size" ] || { size="$1 $3"; changed=$muster_now; }
      cause=
      left=$((began + limit_cs - muster_now))
      [ "$left" -gt 0 ] || cause=exec_timeout
      [ "$left" -lt "$wait_cs" ] && wait_cs=$left
      idle_cs=${idleTimeoutMs === undefined ? '' : Math.ceil(idleTimeoutMs / 10)}
      if [ -n "$idle_cs" ]; then
        left=$((changed + idle_cs - muster_now))
        [ "$left" -gt 0 ] || cause=\${cause:-idle_timeout}
        [ "$left" -lt "$wait_cs" ] && wait_cs=$left
      fi
      if [ "$1" -gt ${hardStopBytes} ] || [ "$3" -gt ${hardStopBytes} ]; then cause=output_limit; fi
      if [ -n "$cause" ]; then
        is_stopped || echo "$muster_stop $cause" >"$muster_dir/cause"
        stop_group
        [ -d "$muster_dir" ] || exit
        wait_cs=100
      fi
    fi
    [ "$wait_cs" -lt 100 ] && [ "$wait_cs" -gt 0 ] || wait_cs=100
    case $wait_cs in 100) sleep 1;; ?) sleep "0.0$wait_cs" || sleep 1;; *) sleep "0.$wait_cs" || sleep 1;; esac
  done
}
how_it_ended() {
  muster_how=exit muster_name=$muster_code
  [ "$muster_code" -gt 128 ] || return 0
  muster_signal=$(kill -l $((muster_code - 128))) || return 0
  case $muster_signal in *[!A-Z0-9]*) muster_how=unsure; return 0;; esac
  if [ -s "$muster_dir/said" ]; then muster_how=signal muster_name=$muster_signal; return 0; fi
  case $muster_signal in ''|CHLD|CONT|STOP|TSTP|TTIN|TTOU|URG|WINCH) return 0;; esac
  { sh -c 'ulimit -c 0; kill -s "$1" "$$"' sh "$muster_signal"; muster_tried=$?; } 2>"$muster_dir/said"
  [ "$muster_tried" -ne "$muster_code" ] || [ -s "$muster_dir/said" ] || muster_how=unsure
}
process_start $$
echo "$$ $muster_start" >"$muster_dir/keeper"
cat <"$muster_dir/out.fifo" >"$muster_dir/out" & muster_out=$!
cat <"$muster_dir/err.fifo" >"$muster_dir/err" & muster_err=$!
watch & muster_watch=$!
muster_input=$muster_dir/input
[ -e "$muster_input" ] || muster_input=/dev/null
{ ( exec setsid sh "$muster_dir/command" "$muster_dir" \\
  <"$muster_input" >"$muster_dir/out.fifo" 2>"$muster_dir/err.fifo" )
muster_code=$?; } 2>"$muster_dir/said"
kill -s KILL $muster_watch
wait $muster_watch
( sleep ${READERS_S}; kill -s TERM $muster_out $muster_err ) &
read_claim
muster_reached=unproven
if [ -e "$muster_dir/go/reached" ]; then muster_reached=reached
elif rmdir "$muster_dir/go"; then muster_reached=unreached; fi
if [ "$muster_reached" = unreached ] && [ ! -e "$muster_dir/claim" ]; then
  echo "$muster_seal unclaimed" >"$muster_dir/result.new" && mv "$muster_dir/result.new" "$muster_dir/result"
elif [ "$pid" != fenced ]; then
  muster_outcome=0
  if is_stopped; then
    stop_group
    muster_outcome=$?
  else
    muster_cause=none
  fi
  muster_whole=whole
  wait $muster_out || muster_whole=cut
  wait $muster_err || muster_whole=cut
  how_it_ended
  set -- "$muster_how" "$muster_name" "$muster_whole" "$muster_cause" "$muster_outcome" "$muster_reached"
  echo "$muster_seal ended $*" >"$muster_dir/result.new" && mv "$muster_dir/result.new" "$muster_dir/result"
fi
read -r boot_now </proc/sys/kernel/random/boot_id
rm -f "$muster_dir/command" "$muster_dir/script" "$muster_dir/input" "$muster_dir/said"
find "\${muster_dir%/*}" -mindepth 1 -maxdepth 1 -mtime +${SWEEP_DAYS} | while read -r muster_dir; do
  read_claim && [ "$boot" = "$boot_now" ] && process_start "$pid" && [ "$muster_start" = "$started" ] ||
    rm -rf "$muster_dir"
done
trap '' TERM
kill -s TERM 0
}
`
}
