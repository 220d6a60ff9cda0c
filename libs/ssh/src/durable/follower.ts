/**
 * The follower: shell text that waits on the host for a run to begin, prints its output past an offset as it comes, and
 * reports how it ended. All of it goes to one stream, in pieces with a line of the follower before each, so that the
 * command's two streams stay apart where the account merges them or has only one.
 *
 *   begin → [input] → output:AGE → 1 | 2 → bytes → … → end
 *
 * words.ts parses the lines. The functions that the text calls are in run-directory.ts; `say` is in launch.ts.
 */
import { raiseLimit } from './run-directory.ts'
import type { DurableLimits } from './supervisor.ts'

/** How much of each stream was already taken, in bytes. */
export type Offsets = { readonly stdout: number; readonly stderr: number }

/** How long a directory may be without a claim before its launcher is taken for dead, in hundredths of a second. */
const CLAIM_CS = 1_000

/**
 * Prints everything past the offsets, and looks for the end before each read. A result is believed when it is sealed
 * and the command is gone. A second process waits for the end of stdin, which is the end of the channel, so that no
 * follower outlives its worker or network.
 */
export function followScript({ stdout, stderr }: Offsets, { execTimeoutMs }: DurableLimits): string {
  const skip = (bytes: number, fd: number) => (bytes === 0 ? ':' : `dd bs=1 skip=${bytes} count=0 <&${fd}`)
  return `{ while read -r _; do :; done; kill -s KILL $$; } <&5 >/dev/null &
watcher=$!
end() {
  say "end:$1"
  kill -s KILL "$watcher"
  exit 0
}
nap() {
  if [ $polls -lt 4 ]; then set -- 0.005; elif [ $polls -lt 14 ]; then set -- 0.02
  elif [ $polls -lt 44 ]; then set -- 0.1; else set -- 1; fi
  polls=$((polls + 1))
  sleep "$1" || sleep 1
}
read -r now _ </proc/uptime
polls=0 since=\${now%.*}\${now#*.}
until read_claim || is_sealed; do
  read -r now _ </proc/uptime
  if [ $((\${now%.*}\${now#*.} - since)) -gt ${CLAIM_CS} ]; then
    fence || [ ! -e "$muster_dir/claim" ] || read_claim || end unreadable
  fi
  nap
done
[ "$last" = unclaimed ] && end unclaimed
[ "$pid" = removed ] && end missing
[ "$pid" = fenced ] && { was_reached && end missing; end fenced; }
read -r keeper kept <"$muster_dir/keeper"
read -r boot_now </proc/sys/kernel/random/boot_id
read -r now _ </proc/uptime
now=\${now%.*}\${now#*.}
say "output:$((now - \${started:-$now}))"
${raiseLimit(execTimeoutMs)}
exec 3<"$muster_dir/out" 4<"$muster_dir/err"
${skip(stdout, 3)}
${skip(stderr, 4)}
is_gone() {
  process_start "$pid"
  [ -z "$muster_start" ] || [ "$muster_start" != "$started" ]
}
is_over() {
  over=sealed
  is_sealed && is_gone && return 0
  over=rebooted
  [ "$boot" = "$boot_now" ] || return 0
  is_gone || return 1
  process_start "$keeper"
  [ -n "$kept" ] && [ "$muster_start" = "$kept" ] && return 1
  sleep 1
  is_sealed && over=sealed || over=missing
}
out_seen=${stdout} err_seen=${stderr}
pour() {
  [ -s "$muster_dir/out" ] || [ -s "$muster_dir/err" ] || return 0
  set -- $(wc -c "$muster_dir/out" "$muster_dir/err")
  [ "$1" = "$out_seen" ] || { say 1; cat <&3; out_seen=$1; }
  [ "$3" = "$err_seen" ] || { say 2; cat <&4; err_seen=$3; }
}
until is_over; do
  pour
  nap
done
pour
[ $over = sealed ] && end "$last"
end $over`
}
