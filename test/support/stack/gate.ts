/** A gate that commands wait at. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A file that commands on the "hosts" wait for, so that the test decides how long they take. */
export async function gateFile(): Promise<{ path: string; open(): Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), 'muster-gate-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const path = join(directory, 'gate')
  // The account on the host may be another one.
  await chmod(directory, 0o755)
  return { path, open: () => writeFile(path, '') }
}
