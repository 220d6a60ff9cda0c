/**
 * Shell text about the directory of a durable run: where it is, whose it is, whether its command was reached, and how
 * to fence it, so that nothing starts there any more. Part of every script of durable mode; runs nothing itself.
 */
import type { DurableRun } from './run.ts'

/**
 * A shell function: `process_start PID` sets muster_start to the start time of a living process, or to nothing if it is
 * gone or dead. It uses builtins only, as it is called often.
 */
export const PROCESS_START = `process_start() {
  muster_start=
  { read -r muster_stat <"/proc/$1/stat"; } 2>/dev/null || return 0
  set -- \${muster_stat##*) }
  case $1 in Z|X) ;; *) muster_start=\${20};; esac
}`

/**
 * The guard before a kill: a process with our leader's PID but another start time is a stranger, and proves that
 * nothing of our group is left, as the kernel never reuses a PID that a group still has.
 */
export function strangerGuard(pid: string, start: string): string {
  const read = `{ read -r stat </proc/${pid}/stat; } 2>/dev/null`
  return `${read} && { set -- \${stat##*) }; [ "\${20}" = ${start} ] || exit 3; }`
}

/**
 * `read_claim` reads pid, started and boot from the claim, and fails for an invalid one. Any process of the account can
 * write a claim: with a pid of 1 a kill would hit every process there is.
 */
export const READ_CLAIM = `read_claim() {
  pid= started= boot=
  [ -f "$muster_dir/claim" ] && read -r pid started boot <"$muster_dir/claim" || return 1
  case $pid in fenced|removed) return 0;; 0*|1|*[!0-9]*|?????????????*|'') return 1;; esac
  case $started in *[!0-9]*|????????????????*|'') return 1;; esac
  case $boot in *[!0-9a-z-]*|'') return 1;; esac
}`

/**
 * Functions that find the directory of a run: `find_run` sets muster_base and muster_dir. It is below the home
 * directory, or below /var/tmp where the account may not write to its home, or its name would have to be quoted.
 * `is_sure` fails if a run that was not found may still be in a home that is not mounted right now.
 */
export function findRun({ runId, parent }: DurableRun): string {
  return `find_run() {
  muster_home=\${HOME:-/nonexistent} muster_id=${runId} muster_parent=home
  case $muster_home in *[!A-Za-z0-9/._@+-]*) muster_home=/nonexistent;; esac
  muster_base=$muster_home/.muster-runs
  if [ ! -d "$muster_base/$muster_id" ]; then
    muster_other=/var/tmp/muster-$(id -u)
    if [ -d "$muster_other/$muster_id" ]; then muster_parent=tmp
    elif [ -e "$muster_base" ]; then [ -w "$muster_base" ] || muster_parent=tmp
    else [ -w "$muster_home" ] || muster_parent=tmp; fi
    [ $muster_parent = home ] || muster_base=$muster_other
  fi
  muster_dir=$muster_base/$muster_id
}
is_sure() { [ -d "$muster_dir" ] || [ $muster_parent = ${parent ?? 'home'} ]; }
is_private() {
  [ -O "$1" ] || return 1
  case $(ls -ld "$1") in drwx------*) ;; *) return 1;; esac
}
find_run`
}

/**
 * `fence` makes sure that a run without a claim never starts. It fails if the run has a claim. `was_reached` says
 * whether the command was reached, with or without a claim: the command itself may have removed it.
 */
export const FENCE = `fence() {
  { echo fenced >"$muster_dir/fence.$$" && ln "$muster_dir/fence.$$" "$muster_dir/claim"; } 2>/dev/null
}
was_reached() {
  [ -e "$muster_dir/go" ] && ! rmdir "$muster_dir/go" 2>/dev/null
}`

/** Makes and fences the directory of a run that is not there, so that it never starts. */
export const ATTACH = `if [ ! -d "$muster_dir" ]; then
  [ -e "$muster_base" ] || mkdir -m 700 "$muster_base" 2>/dev/null
  mkdir -m 700 "$muster_dir" 2>/dev/null && fence
fi`

/**
 * `is_sealed` says whether the supervisor has written its result, which is then in `last`. Any process of the account
 * can write a file of that name, but only our own processes know the seal before the words.
 */
export function isSealed({ seal }: DurableRun): string {
  return `is_sealed() {
  seal= last=
  [ -f "$muster_dir/result" ] && read -r seal last <"$muster_dir/result"
  [ "$seal" = ${seal} ]
}`
}

/** Shell text that raises the time limit of a run that was found, and never lowers it. */
export function raiseLimit(execTimeoutMs: number): string {
  return `read -r limit <"$muster_dir/limits" && { [ "$limit" -ge ${limitOf(execTimeoutMs)} ] || {
  echo ${limitOf(execTimeoutMs)} >"$muster_dir/limits.$$" && mv "$muster_dir/limits.$$" "$muster_dir/limits"; }; }`
}

/** A limit as the supervisor reads it: in hundredths of a second from the start. */
export function limitOf(execTimeoutMs: number): number {
  return Math.max(1, Math.ceil(execTimeoutMs / 10))
}
