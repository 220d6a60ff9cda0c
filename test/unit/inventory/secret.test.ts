/** Secrets are read where the reference points, and no error shows one. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readSecret, type SecretSources } from '@muster/inventory'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'

const FROM: SecretSources = {
  env: {},
  directories: { home: '/nowhere', named: [tmpdir(), '/dev', '/nowhere'], inventory: () => undefined },
}

async function secretFile(content: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'muster-secret-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const path = join(directory, 'secret')
  await writeFile(path, content, { mode: 0o600 })
  return path
}

describe('a secret file', () => {
  it.each([
    ['hunter2', 'hunter2'],
    ['hunter2\n', 'hunter2'],
    ['hunter2\r\n', 'hunter2'],
    [' two words \n\n', ' two words \n'],
  ])('%j holds %j', async (content, expected) => {
    expect(await readSecret({ kind: 'file', path: await secretFile(content) }, FROM)).toBe(expected)
  })

  it.each([
    ['\n', 'is empty'],
    ['x'.repeat(70_000), 'it has 70000 bytes, more than a secret can have'],
  ])('that is unusable is named by its path only', async (content, expected) => {
    const path = await secretFile(content)
    await expect(readSecret({ kind: 'file', path }, FROM)).rejects.toMatchObject({
      code: 'invalid_config',
      message: expect.stringContaining(expected),
    })
  })

  it('that does not exist is reported with the cause', async () => {
    await expect(readSecret({ kind: 'file', path: '/nowhere/secret' }, FROM)).rejects.toMatchObject({
      code: 'invalid_config',
      message: expect.stringContaining('the secret file /nowhere/secret cannot be read: ENOENT'),
      cause: expect.objectContaining({ code: 'ENOENT' }),
    })
  })

  it('that is a device is refused, so that nobody waits for it', async () => {
    await expect(readSecret({ kind: 'file', path: '/dev/zero' }, FROM)).rejects.toThrow('it is not a regular file')
  })
})

describe('a secret variable', () => {
  const ADVICE = '; muster up and muster mcp pass to workers only names that begin with MUSTER_SECRET_'

  it('is its value as it is', async () => {
    expect(await readSecret({ kind: 'env', name: 'P' }, { ...FROM, env: { P: ' x\n' } })).toBe(' x\n')
  })

  it('with a name that workers get is reported without advice', async () => {
    const name = 'MUSTER_SECRET_P'
    await expect(readSecret({ kind: 'env', name }, FROM)).rejects.toThrow(/MUSTER_SECRET_P is not set$/)
  })

  it.each([
    [{}, `the environment variable P is not set${ADVICE}`],
    [{ P: '' }, 'the environment variable P is empty'],
  ])('%j is not one', async (env, expected) => {
    await expect(readSecret({ kind: 'env', name: 'P' }, { ...FROM, env })).rejects.toMatchObject({
      code: 'invalid_config',
      message: expected,
    })
  })
})

describe('a password in SSH_SERVERS', () => {
  const read = (host: string, SSH_SERVERS?: string) =>
    readSecret({ kind: 'ssh_servers', host }, { ...FROM, env: { SSH_SERVERS } })

  it('is everything after the third colon, whatever it is made of but a comma', async () => {
    const password = fc
      .string({ minLength: 1 })
      .filter((text) => !text.includes(',') && text.trimEnd() === text && text.trim() !== '')
    await fc.assert(
      fc.asyncProperty(password, async (text) => {
        expect(await read('b', `a:h:u:other, b : [::1] : u:${text} ,c:h:u`)).toBe(text)
      }),
    )
  })

  it.each([
    ['b', 'a:h:u:p'],
    ['a', 'a:h:u'],
    ['a', undefined],
  ])('of %s is not in %s', async (host, value) => {
    await expect(read(host, value)).rejects.toMatchObject({
      code: 'invalid_config',
      message: `the password of the host ${host} in SSH_SERVERS is not set`,
    })
  })
})
