/**
 * What stays on a host while a durable command runs: the supervisor, which starts the command in a session of its own,
 * keeps its clocks and writes down how it ended, and the few lines that become the command.
 *
 * Files of a run (all owner-only): `command`, `supervisor` and `input` as sent; `limits`; `keeper` and `claim` (pid and
 * start time of the supervisor and of the command; the boot ID); `out` and `err`; `cause`, when it is being stopped;
 * `result`. Output goes through FIFOs, so that /dev/stdout is the pipe it is in attached mode and never a file that a
 * second open would cut. Neither starts nor follows a run (durable-launcher.ts).
 */
import { killScript } from './kill.ts'
import { HARD_STOP_BYTES } from './output-cap.ts'
import { execWords, interpreterOf, quoteWord } from './quote.ts'
import { checkCommand, pathForCd, type RemoteCommand } from './remote-command.ts'

/** The clocks and limits the host keeps by itself. */
export type DurableLimits = {
  /** From the command's start; then it is killed. */
  readonly execTimeoutMs: number
  /** No output for so long, and it is killed. Absent: it may be silent. */
  readonly idleTimeoutMs?: number
  /** Between TERM and KILL. */
  readonly killGraceMs: number
  /** How much a stream may write before the command is killed; 64 MiB by default. */
  readonly hardStopBytes?: number
}

/** How old what nobody fetched may get; a command that still runs is left alone at any age. */
const SWEEP_DAYS = 7

/**
 * Shell functions about processes. `process_start PID` puts the start time of a living process into muster_start, which
 * is empty for one that is gone or dead. By builtins only: it is asked often.
 */
export const PROCESS_START = `process_start() {
  muster_start=
  { read -r muster_stat <"/proc/$1/stat"; } 2>/dev/null || return 0
  set -- \${muster_stat##*) }
  case $1 in Z|X) ;; *) muster_start=\${20};; esac
}`

/**
 * The guard before a kill: a process that has the number of our leader but another start time is a stranger, and shows
 * that nothing of our group is left, as a number in use by a group is never given away.
 */
export function strangerGuard(pid: string, start: string): string {
  return `{ read -r stat </proc/${pid}/stat; } 2>/dev/null && { set -- \${stat##*) }; [ "\${20}" = ${start} ] || exit 3; }`
}

/**
 * The script that becomes the command. It claims the run by a hard link, which comes into being at once, with its
 * content, and once only: after that the command is taken to have started, and without it nothing of it ever runs.
 * Only positional parameters are set: a variable might be one of the command's environment.
 */
export function commandScript(command: RemoteCommand): string {
  return [
    '{',
    `set -- "\${SHELL:-/bin/sh}" "$1"`,
    'read -r muster_stat </proc/$$/stat && read -r muster_boot </proc/sys/kernel/random/boot_id || exit',
    `set -- "$1" "$2" \${muster_stat##*) }`,
    `echo "$$ \${22} $muster_boot" >"$2/claim.new" && ln "$2/claim.new" "$2/claim" || exit`,
    'unset muster_stat muster_boot',
    ...commandLines(command),
    '}',
    '',
  ].join('\n')
}

/**
 * The supervisor. Its clock is /proc/uptime, read without a process. The exit status is what the shell waited for;
 * whether a status above 128 was a signal is told by the message that the shell prints for one. Where this shell
 * prints none for that signal (tried at once, as a process killed by it), the result says "unsure".
 */
export function supervisorScript({
  killGraceMs,
  idleTimeoutMs,
  hardStopBytes = HARD_STOP_BYTES,
}: DurableLimits): string {
  const kill = killScript(
    { pid: '$muster_pid', isGroup: true },
    killGraceMs,
    strangerGuard('$muster_pid', '"$muster_started"'),
  )
  return `{
muster_dir=$1
[ -z "\${BASH_VERSION-}" ] || command set +o posix 2>/dev/null
exec 2>/dev/null
now() {
  read -r muster_now _ </proc/uptime
  muster_now=\${muster_now%.*}\${muster_now#*.}
}
${PROCESS_START}
read_claim() {
  [ -e "$muster_dir/claim" ] && read -r muster_pid muster_started _ <"$muster_dir/claim"
}
stop_group() {
(
${kill}
)
}
watch() {
  trap - TERM
  now
  began=$muster_now changed=$muster_now size=
  while :; do
    wait_cs=100
    if [ -e "$muster_dir/ended" ]; then
      [ -n "\${held-}" ] && kill -s TERM $1 $2
      held=yes
      sleep 1
    elif read_claim; then
      now
      [ -z "\${seen-}" ] && seen=yes changed=$muster_now
      read -r limit_cs <"$muster_dir/limits"
      set -- "$1" "$2" $(wc -c "$muster_dir/out" "$muster_dir/err")
      [ "$3 $5" = "$size" ] || { size="$3 $5"; changed=$muster_now; }
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
      if [ "$3" -gt ${hardStopBytes} ] || [ "$5" -gt ${hardStopBytes} ]; then cause=output_limit; fi
      if [ -n "$cause" ] && [ ! -e "$muster_dir/ended" ]; then
        [ -e "$muster_dir/cause" ] || echo "$cause" >"$muster_dir/cause"
        stop_group
        wait_cs=100
      fi
      set -- "$1" "$2"
    fi
    [ "$wait_cs" -lt 100 ] && [ "$wait_cs" -gt 0 ] || wait_cs=100
    case $wait_cs in 100) sleep 1;; ?) sleep "0.0$wait_cs" || sleep 1;; *) sleep "0.$wait_cs" || sleep 1;; esac
  done
}
how_it_ended() {
  muster_how=exit muster_name=$muster_code
  [ "$muster_code" -gt 128 ] || return 0
  muster_signal=$(kill -l $((muster_code - 128))) || return 0
  if [ -s "$muster_dir/said" ]; then muster_how=signal muster_name=$muster_signal; return 0; fi
  case $muster_signal in ''|CHLD|CONT|STOP|TSTP|TTIN|TTOU|URG|WINCH) return 0;; esac
  { sh -c 'ulimit -c 0; kill -s "$1" "$$"' sh "$muster_signal"; muster_tried=$?; } 2>"$muster_dir/said"
  [ "$muster_tried" -ne "$muster_code" ] || [ -s "$muster_dir/said" ] || muster_how=unsure
}
process_start $$
echo "$$ $muster_start" >"$muster_dir/keeper"
cat <"$muster_dir/out.fifo" >"$muster_dir/out" & muster_out=$!
cat <"$muster_dir/err.fifo" >"$muster_dir/err" & muster_err=$!
watch $muster_out $muster_err &
muster_input=$muster_dir/input
[ -e "$muster_input" ] || muster_input=/dev/null
{ ( exec setsid sh "$muster_dir/command" "$muster_dir" <"$muster_input" >"$muster_dir/out.fifo" 2>"$muster_dir/err.fifo" )
muster_code=$?; } 2>"$muster_dir/said"
: >"$muster_dir/ended"
muster_pid=
read_claim
read -r boot_now </proc/sys/kernel/random/boot_id
case $muster_pid in
fenced) ;;
'') echo unclaimed >"$muster_dir/result.new" && mv "$muster_dir/result.new" "$muster_dir/result";;
*)
  muster_cause=none muster_outcome=0
  if [ -e "$muster_dir/cause" ]; then
    stop_group
    muster_outcome=$?
    read -r muster_cause <"$muster_dir/cause"
  fi
  muster_whole=whole
  wait $muster_out || muster_whole=cut
  wait $muster_err || muster_whole=cut
  how_it_ended
  echo "ended $muster_how $muster_name $muster_whole $muster_cause $muster_outcome" >"$muster_dir/result.new" &&
    mv "$muster_dir/result.new" "$muster_dir/result"
esac
rm -f "$muster_dir/command" "$muster_dir/input" "$muster_dir/said"
find "\${muster_dir%/*}" -mindepth 1 -maxdepth 1 -mtime +${SWEEP_DAYS} | while read -r old; do
  read -r _ _ boot_then <"$old/claim" || boot_then=none
  [ "$boot_then" = "$boot_now" ] && [ ! -e "$old/result" ] || rm -rf "$old"
done
trap '' TERM
kill -s TERM 0
}
`
}

/** The lines that turn a shell, whose first parameter is the account's shell, into the command. */
function commandLines(command: RemoteCommand): string[] {
  checkCommand(command)
  const { form, cwd, env = {} } = command
  return [
    ...(cwd === undefined ? [] : [`cd -- ${quoteWord(pathForCd(cwd))} || exit`]),
    ...Object.entries(env).map(([name, value]) => `export ${name}=${quoteWord(value)}`),
    startLine(form),
  ]
}

function startLine(form: RemoteCommand['form']): string {
  if ('argv' in form) return execWords(form.argv)
  if ('script' in form) return execWords(interpreterOf(form.script) ?? ['sh'])
  return `exec "$1" -c ${quoteWord(form.command)}`
}
