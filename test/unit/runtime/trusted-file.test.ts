/** A file that nobody else may read, such as a private key. */
import { chmod, chown, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
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

test.skipIf(!isRoot)('may be open to a group that is the owner alone, and to no other', async () => {
  const file = await secretFile(0o664)
  for (const [gid, told] of [
    [0, 'text'],
    [1, 'others can write'],
  ] as const) {
    await chown(file, 0, gid)
    expect(await readTrustedFile(file).catch(String)).toContain(told)
  }
  await chown(file, 0, 0)
  await chmod(file, 0o666)
  await expect(readTrustedFile(file)).rejects.toThrow(/others can write to it/)
})

test('is not read below a directory that others may write to, at any height', async () => {
  const file = await secretFile(0o600)
  const top = join(file, '..', 'top')
  const below = join(top, 'a', 'b')
  await mkdir(below, { recursive: true, mode: 0o700 })
  await writeFile(join(below, 'file'), 'text')
  expect(await readTrustedFile(join(below, 'file'))).toBe('text')
  await chmod(top, 0o777)
  await symlink(join(below, 'file'), `${file}-link`)
  for (const path of [join(below, 'file'), `${file}-link`]) {
    await expect(readTrustedFile(path)).rejects.toThrow(`others can write to its directory ${top}`)
    await expect(readTrustedFile(path, { isState: true })).rejects.toThrow(`chmod go-w ${top}`)
  }
  await chmod(top, 0o1777)
  expect(await readTrustedFile(join(below, 'file'))).toBe('text')
})
