/** A file on the "host" that each test command appends to, and Muster does not know of. */
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** Where commands write, and the lines so far. */
export type Witness = { readonly path: string; lines(): Promise<string[]> }

/** A file that any user may append to; removed when the test ends. */
export async function witnessFile(): Promise<Witness> {
  const directory = await mkdtemp(join(tmpdir(), 'muster-witness-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  await chmod(directory, 0o777)
  const path = join(directory, 'ran')
  const lines = async () => (await readFile(path, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '')
  return { path, lines }
}
