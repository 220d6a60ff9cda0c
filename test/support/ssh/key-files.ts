/** The key that the test daemon takes, as files of a test's own. */
import { execFile } from 'node:child_process'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { inject, onTestFinished } from 'vitest'

const run = promisify(execFile)

/** The key as it is and encrypted, in a directory that is removed at the end of the test. */
export async function keyFiles(
  passphrase: string,
): Promise<{ readonly directory: string; readonly plain: string; readonly encrypted: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'muster-login-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const [plain, encrypted] = [join(directory, 'plain'), join(directory, 'encrypted')]
  for (const file of [plain, encrypted]) await copyFile(inject('sshd').keys.ed25519, file)
  await run('chmod', ['600', plain, encrypted])
  await run('ssh-keygen', ['-q', '-p', '-P', '', '-N', passphrase, '-f', encrypted])
  return { directory, plain, encrypted }
}
