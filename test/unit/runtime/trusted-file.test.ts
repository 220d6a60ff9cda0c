/** A file that nobody else may read, such as a private key. */
import { chmod, chown, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { readTrustedFile } from '../../../libs/runtime/src/config/trusted-file.ts'

async function secretFile(mode: number): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'muster-secret-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  const file = join(dir, 'key')
  await writeFile(file, 'text')
  await chmod(file, mode)
  return file
}

const isRoot = process.getuid?.() === 0

test.each([0o600, 0o400])('is read with mode %o, also through a link', async (mode) => {
  const file = await secretFile(mode)
  expect(await readTrustedFile(file, { isSecret: true })).toBe('text')
  await symlink(file, `${file}-link`)
  expect(await readTrustedFile(`${file}-link`, { isSecret: true })).toBe('text')
})

test.each([0o644, 0o604, 0o444])('is refused with mode %o, though any other file would be read', async (mode) => {
  const file = await secretFile(mode)
  await symlink(file, `${file}-link`)
  for (const path of [file, `${file}-link`]) {
    await expect(readTrustedFile(path, { isSecret: true })).rejects.toThrow(/others can read it.*chmod 0400 .*key$/)
    expect(await readTrustedFile(path)).toBe('text')
  }
})

test.skipIf(!isRoot)('of root may be read by its group, and that of a user may not', async () => {
  const file = await secretFile(0o440)
  expect(await readTrustedFile(file, { isSecret: true })).toBe('text')
  await chown(file, 65_534, 65_534)
  await chown(join(file, '..'), 65_534, 65_534)
  const asUser = readTrustedFile(file, { isSecret: true, uid: 65_534 })
  await expect(asUser).rejects.toThrow(/others can read it \(mode 0440\)/)
})
