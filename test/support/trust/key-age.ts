/** Time that passes for key files. */
import { readFile, writeFile } from 'node:fs/promises'

/** Makes all keys of the file an hour older, so that those that were new sign now. */
export async function anHourLater(file: string): Promise<void> {
  const { keys } = JSON.parse(await readFile(file, 'utf8'))
  const older = keys.map((key: { made_at: string }) => ({
    ...key,
    made_at: new Date(Date.parse(key.made_at) - 3_600_000).toISOString(),
  }))
  await writeFile(file, JSON.stringify({ keys: older }))
}
