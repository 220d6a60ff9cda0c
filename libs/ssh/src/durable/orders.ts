/**
 * Orders to a durable run: stop, raise the time limit, remove what it left. Each is a small script in a channel of its
 * own, so that any worker can give it over any connection.
 *
 * Reports what the host answered, and nothing more: no answer is no confirmation. Does not follow runs (follow.ts).
 */

import { CHANNEL_TIMEOUT_MS } from '../channel/channel.ts'
import { killScript } from '../channel/kill.ts'
import { runScript } from '../channel/remote-script.ts'
import type { SshConnection } from '../connect/connection.ts'
import type { KillResult, StopCause } from '../verdict/verdict.ts'
import type { DurableRun } from './run.ts'
import {
  ATTACH,
  FENCE,
  findRun,
  isSealed,
  PROCESS_START,
  READ_CLAIM,
  raiseLimit,
  strangerGuard,
} from './run-directory.ts'

/** The result of a stop. `never_started`: it had not begun, and now certainly never will. */
export type DurableStop = KillResult | 'never_started'

/** How long the host may take for a script, beyond the time that the script itself waits. */
const ANSWER_MS = 15_000

/** Kills a durable command, whoever started it, and checks that it is gone. Its result then names the cause. */
export async function stopDurable(
  connection: SshConnection,
  run: DurableRun,
  cause: StopCause,
  graceMs: number,
): Promise<DurableStop> {
  const code = await order(
    connection,
    run,
    `${FENCE}
${READ_CLAIM}
${isSealed(run)}
${findRun(run)}
is_sure || exit 1
${run.wasSent ? '' : ATTACH}
is_private "$muster_base" && is_private "$muster_dir" || exit 1
[ -e "$muster_dir/claim" ] || fence
read_claim || exit 1
[ "$pid" = fenced ] && { was_reached && exit 1; exit 4; }
[ "$pid" = removed ] && exit 3
read -r boot_now </proc/sys/kernel/random/boot_id
[ "$boot" = "$boot_now" ] || exit 3
is_sealed && exit 3
read -r seal _ <"$muster_dir/cause"
[ "$seal" = ${run.stopSeal} ] || {
  echo "${run.stopSeal} ${cause}" >"$muster_dir/cause.$$" && mv -f "$muster_dir/cause.$$" "$muster_dir/cause"; }
${killScript({ pid: '$pid', isGroup: true }, graceMs, strangerGuard('$pid', '"$started"'))}`,
    graceMs + ANSWER_MS,
  )
  if (code === 'not_sent') return 'not_sent'
  const results: Readonly<Record<number, DurableStop>> = { 0: 'ended', 3: 'was_gone', 4: 'never_started' }
  return results[code ?? 1] ?? 'unconfirmed'
}

/** Raises the time limit, counted from the start. False if the host has not confirmed it. */
export async function raiseDurable(
  connection: SshConnection,
  run: DurableRun,
  execTimeoutMs: number,
): Promise<boolean> {
  const script = `${findRun(run)}\nis_private "$muster_base" && ${raiseLimit(execTimeoutMs)}`
  return (await order(connection, run, script, ANSWER_MS)) === 0
}

/**
 * Removes what a durable run left on its host, once its result is safe. A marker stays behind for a week, so that
 * neither a launcher still under way nor a worker that does not know the result (Redis may have forgotten it) takes the
 * run for one that never started. False if nothing was removed: it still runs, or there was no answer.
 */
export async function removeDurable(connection: SshConnection, run: DurableRun): Promise<boolean> {
  const code = await order(
    connection,
    run,
    `${PROCESS_START}
${READ_CLAIM}
${findRun(run)}
[ -d "$muster_dir" ] || exit 0
is_private "$muster_base" && is_private "$muster_dir" || exit 1
if read_claim; then
  read -r boot_now </proc/sys/kernel/random/boot_id
  [ "$boot" = "$boot_now" ] && process_start "$pid" && [ "$muster_start" = "$started" ] && exit 1
fi
[ "$pid" = fenced ] || { echo removed >"$muster_dir/gone" && mv -f "$muster_dir/gone" "$muster_dir/claim"; } || exit 1
for file in "$muster_dir"/*; do [ "$file" = "$muster_dir/claim" ] || rm -rf "$file"; done`,
    ANSWER_MS,
  )
  return code === 0
}

/** Runs a script as the run's user and returns its exit status; undefined if the host reported none. */
async function order(
  connection: SshConnection,
  { sudo }: DurableRun,
  script: string,
  answerMs: number,
): Promise<number | undefined | 'not_sent'> {
  const end = await runScript(connection, script, { sudo, channelTimeoutMs: CHANNEL_TIMEOUT_MS, answerMs })
  if (end === undefined || 'failure' in end) return 'not_sent'
  return end.exit?.code ?? undefined
}
