/**
 * The working directory, which may be gone: people remove folders, such as a worktree, while a program is in them. Node
 * then throws wherever it is asked for, in libraries too.
 */
import type { Environment } from './config.ts'
import { relativeIn } from './own-variables.ts'

/** Its path; undefined when it has been removed. */
export function workingDirectory(): string | undefined {
  try {
    return process.cwd()
  } catch {
    return undefined
  }
}

/**
 * Moves to `/`, for a process that goes on for long and starts others: none of them then minds what becomes of the
 * folder. It stays where it is if one of its own variables has a relative path.
 */
export function leaveWorkingDirectory(env: Environment): void {
  if (relativeIn(env) === undefined) process.chdir('/')
}
