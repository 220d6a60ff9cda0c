/** A program on a terminal, by script(1). The path of a checkout may hold spaces, which a shell would split it at. */
import { spawn } from 'node:child_process'
import { shellWord } from '@muster/contract'
import { findProgram } from '../runtime/programs.ts'

/** Whether there is such a terminal here. The options of script(1) are others on other systems. */
export const HAS_TERMINAL = process.platform === 'linux' && findProgram('script') !== undefined

/** Starts Node with these words on a terminal. It shows on `stdout`, and what is typed is written to `stdin`. */
export function nodeOnTerminal(
  words: readonly string[],
  { cwd, env }: { cwd?: string; env: Record<string, string | undefined> },
) {
  const command = `exec ${[process.execPath, ...words].map(shellWord).join(' ')}`
  return spawn('script', ['-qec', command, '/dev/null'], {
    cwd,
    env: { PATH: process.env.PATH, ...env, SHELL: '/bin/sh' },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
}
