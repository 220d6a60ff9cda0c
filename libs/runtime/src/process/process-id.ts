/** Process IDs, as files name them. */

/** Whether there is such a process. It may be another one by now: the system uses numbers again. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
