/**
 * What is sent to a host to start a durable command, or to find one again, and to follow its output: a sh program over
 * stdin, as in launcher.ts, with the command as a file of a private directory.
 *
 * `mkdir` of that directory lets one launcher through, whatever was sent how often. Who only looks, and finds none,
 * makes it himself, so that a launcher that comes late finds it taken. The last word is the link of supervisor and
 * fence to the same name (durable-supervisor.ts). Does not open channels (durable-follow.ts).
 */
import { randomBytes } from 'node:crypto'
import { commandScript, type DurableLimits, PROCESS_START, supervisorScript } from './durable-supervisor.ts'
import { quoteWord } from './quote.ts'
import { inputOf, type RemoteCommand } from './remote-command.ts'

/** What to send: a program for sh, and what it asks for. */
export type DurableLaunch = { readonly program: string; readonly input: Buffer | undefined }

/** What a follower already has of each stream, in bytes. */
type Offsets = { readonly stdout: number; readonly stderr: number }

/** How long a directory may be without a claim before it is taken that its launcher died. */
const CLAIM_CS = 1_000

/**
 * Shell functions that find the directory of a run. `find_run` sets muster_base and muster_dir: where the run is, or
 * where it would be. The home directory, or /var/tmp where the account may not write to its home.
 */
export function findRun(runId: string): string {
  return `find_run() {
  muster_base=\${HOME:-/nonexistent}/.muster-runs muster_id=${runId}
  if [ ! -d "$muster_base/$muster_id" ]; then
    if [ -e "$muster_base" ]; then [ -w "$muster_base" ]; else [ -w "\${HOME:-/nonexistent}" ]; fi ||
      muster_base=/var/tmp/muster-$(id -u)
  fi
  muster_dir=$muster_base/$muster_id
}
is_private() {
  [ -O "$1" ] || return 1
  case $(ls -ld "$1") in drwx------*) ;; *) return 1;; esac
}
find_run`
}

/** Makes sure that a run without a claim never starts. Fails when the run has a claim. */
export const FENCE = `fence() {
  { echo fenced >"$muster_dir/fence.$$" && ln "$muster_dir/fence.$$" "$muster_dir/claim"; } 2>/dev/null
}`

/**
 * What to send to start a command, unless it was started before, and to follow it from these offsets. Without a command
 * it starts nothing, and makes sure that nothing starts later. `input` is for when the host asks for it.
 * @throws {MusterError} invalid_request: as of `writeLaunch`
 */
export function writeDurable(
  runId: string,
  nonce: string,
  from: Offsets,
  limits: DurableLimits,
  command: RemoteCommand | undefined,
): DurableLaunch {
  const input = command && inputOf(command)
  const begin = command === undefined ? ATTACH : startScript(command, limits, input)
  const launcher = `say() { printf 'muster-${nonce}:%s\\n' "$1" >&2; }
say begin || exit 125
exec 5<&0
refuse() { say "refused:$1"; exit 0; }
${FENCE}
${PROCESS_START}
${findRun(runId)}
[ -r /proc/sys/kernel/random/boot_id ] && [ -r "/proc/$$/stat" ] || refuse 'it has no /proc as Linux has'
[ -e "$muster_base" ] || mkdir -m 700 "$muster_base" 2>/dev/null
is_private "$muster_base" || refuse "$muster_base is not a directory that belongs to the account alone"
${begin}
is_private "$muster_dir" || refuse "$muster_dir cannot be made"
${followScript(nonce, from, limits)}`
  return { program: launcher, input }
}

/** Where there is no run: takes its place, so that it never starts. */
export const ATTACH = `if [ ! -d "$muster_dir" ]; then
  [ -e "$muster_base" ] || mkdir -m 700 "$muster_base" 2>/dev/null
  mkdir -m 700 "$muster_dir" 2>/dev/null && fence
fi`

/** Everything is there in full before the directory is made; whoever makes it is the one that starts. */
function startScript(command: RemoteCommand, limits: DurableLimits, input: Buffer | undefined): string {
  const spool = `"$muster_base/$muster_id.${randomBytes(8).toString('hex')}"`
  const take = `( umask 077; say input; head -c ${input?.length ?? 0} <&5 >${spool} )
  [ "$(wc -c <${spool})" -eq ${input?.length ?? 0} ] || { rm -f ${spool}; refuse 'the input could not be written'; }`
  return `if [ ! -d "$muster_dir" ]; then
  command -v setsid >/dev/null && command -v mkfifo >/dev/null || refuse 'it has no setsid or no mkfifo'
  ${input === undefined ? ':' : take}
  if mkdir -m 700 "$muster_dir" 2>/dev/null; then
    ( umask 077
      ${input === undefined ? ':' : `mv ${spool} "$muster_dir/input"`} &&
      printf %s ${quoteWord(commandScript(command))} >"$muster_dir/command" &&
      printf %s ${quoteWord(supervisorScript(limits))} >"$muster_dir/supervisor" &&
      echo ${limitOf(limits.execTimeoutMs)} >"$muster_dir/limits" &&
      : >"$muster_dir/out" && : >"$muster_dir/err" &&
      mkfifo "$muster_dir/out.fifo" "$muster_dir/err.fifo" ) 2>/dev/null || refuse "$muster_dir cannot be written"
    setsid setsid sh "$muster_dir/supervisor" "$muster_dir" </dev/null >/dev/null 2>&1 5<&-
  else
    ${input === undefined ? ':' : `rm -f ${spool}`}
  fi
fi`
}

/** Shell text that raises the time limit of a run that was found, and never lowers it. */
export function raiseLimit(execTimeoutMs: number): string {
  return `read -r limit <"$muster_dir/limits" && { [ "$limit" -ge ${limitOf(execTimeoutMs)} ] || {
  echo ${limitOf(execTimeoutMs)} >"$muster_dir/limits.$$" && mv "$muster_dir/limits.$$" "$muster_dir/limits"; }; }`
}

/** A limit as the supervisor reads it: hundredths of a second from the start. */
function limitOf(execTimeoutMs: number): number {
  return Math.max(1, Math.ceil(execTimeoutMs / 10))
}

/**
 * Prints what is past the offsets, looking for the result before each reading. A process beside it waits for the end of
 * stdin, which is the end of the channel, so that nothing is left of a follower whose worker or network is gone.
 */
function followScript(nonce: string, { stdout, stderr }: Offsets, { execTimeoutMs }: DurableLimits): string {
  const skip = (bytes: number, fd: number) => (bytes === 0 ? ':' : `dd bs=1 skip=${bytes} count=0 <&${fd} 2>/dev/null`)
  return `{ while read -r _; do :; done; kill -s KILL $$; } <&5 >/dev/null 2>&1 &
watcher=$!
end() {
  printf 'muster-${nonce}:end\\n'
  say "end:$1"
  kill -s KILL "$watcher"
  exit 0
}
nap() {
  if [ $polls -lt 4 ]; then set -- 0.005; elif [ $polls -lt 14 ]; then set -- 0.02
  elif [ $polls -lt 44 ]; then set -- 0.1; else set -- 1; fi
  polls=$((polls + 1))
  sleep "$1" 2>/dev/null || sleep 1
}
read -r now _ </proc/uptime
polls=0 since=\${now%.*}\${now#*.}
until [ -e "$muster_dir/claim" ]; do
  [ -e "$muster_dir/result" ] && end unclaimed
  read -r now _ </proc/uptime
  if [ $((\${now%.*}\${now#*.} - since)) -gt ${CLAIM_CS} ]; then
    fence || nap
  else
    nap
  fi
done
read -r pid started boot <"$muster_dir/claim"
[ "$pid" = fenced ] && end fenced
[ "$pid" = removed ] && end missing
read -r keeper kept <"$muster_dir/keeper"
read -r boot_now </proc/sys/kernel/random/boot_id
printf 'muster-${nonce}:output\\n'
say output
${raiseLimit(execTimeoutMs)}
exec 3<"$muster_dir/out" 4<"$muster_dir/err"
${skip(stdout, 3)}
${skip(stderr, 4)}
is_over() {
  over=result
  [ -e "$muster_dir/result" ] && return 0
  over=rebooted
  [ "$boot" = "$boot_now" ] || return 0
  process_start "$keeper"
  [ -n "$kept" ] && [ "$muster_start" = "$kept" ] && return 1
  over=result
  [ -e "$muster_dir/result" ] && return 0
  over=missing
  process_start "$pid"
  [ -n "$started" ] && [ "$muster_start" = "$started" ] && return 1
  sleep 1
}
while :; do
  is_over && last=$over || last=
  [ -s "$muster_dir/out" ] && cat <&3
  [ -s "$muster_dir/err" ] && cat <&4 >&2
  [ -n "$last" ] && break
  nap
done
[ "$last" = result ] && read -r last <"$muster_dir/result"
end "$last"`
}
