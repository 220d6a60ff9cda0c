/** Processes that must not outlive the one that started them, such as a daemon of the tests. */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { Socket } from 'node:net'

/** Waits for the end of its input. Ctrl-C, and whoever ends all of a group, must not end it first. */
const GUARD = `trap '' INT TERM HUP; read -r _; kill -s KILL "$1"`

/**
 * Kills the child when this process ends, in whatever way: its end closes a pipe that a small shell reads. The shell
 * goes when the child has ended.
 */
export function endWithUs(child: ChildProcess): void {
  const { pid } = child
  if (pid === undefined) return
  const guard = spawn('/bin/sh', ['-c', GUARD, 'sh', String(pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  // Neither the shell nor the pipe keeps this process running.
  guard.unref()
  if (guard.stdin instanceof Socket) guard.stdin.unref()
  child.once('exit', () => guard.kill('SIGKILL'))
}
