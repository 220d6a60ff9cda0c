/**
 * Owner and mode of secret files and of what leads to them: what others can read or change is not used. As root these
 * tests also run a worker's part as another user; else they cannot make files of others, and leave those cases out.
 */
import { execFile } from 'node:child_process'
import { chmod, chown, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { readKey, readSecret, type SecretSources } from '@muster/inventory'
import { beforeEach, describe, expect, it } from 'vitest'
import { earlyRefusals } from '../../../libs/inventory/src/secrets/early-refusals.ts'
import { openTestInventory, temporaryDirectory } from '../../support/inventory/test-inventory.ts'

const IS_ROOT = process.geteuid?.() === 0

/** Users of no program, by number alone. */
const [WORKER, STRANGER] = [61_001, 61_002]

let project = ''
let from: SecretSources

beforeEach(async () => {
  project = await temporaryDirectory()
  from = { env: {}, directories: { home: '/nowhere', named: [], inventory: () => project } }
})

async function put(name: string, mode: number, owner?: number, group = owner): Promise<string> {
  const file = join(project, name)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, 'hunter2', { flag: 'wx' })
  if (owner !== undefined) await chown(file, owner, group ?? owner)
  await chmod(file, mode)
  return file
}

const read = (path: string, named: string[] = []) =>
  readSecret({ kind: 'file', path }, { ...from, directories: { ...from.directories, named } })

/** What a process of the user WORKER reads, or why it does not. */
async function readAsWorker(path: string, named: string[] = []): Promise<string> {
  const program = `
    import { readSecret } from ${JSON.stringify(resolve('libs/inventory/dist/index.js'))}
    const [named, project] = ${JSON.stringify([named, project])}
    const directories = { home: '/nowhere', named, inventory: () => project }
    const ref = { kind: 'file', path: ${JSON.stringify(path)} }
    console.log(await readSecret(ref, { env: {}, directories }).catch((error) => error.message))`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program], {
    uid: WORKER,
    gid: WORKER,
  })
  return stdout.trim()
}

describe('a secret file beside the inventory', () => {
  it.each([0o600, 0o400])('a file with mode %o is read', async (mode) => {
    expect(await read(await put('db', mode))).toBe('hunter2')
  })

  it.each([0o640, 0o604, 0o644, 0o620, 0o666])(
    'a file with mode %o is not read, and the command that mends it is named',
    async (mode) => {
      const file = await put('db', mode)
      const octal = mode.toString(8).padStart(4, '0')
      await expect(read(file)).rejects.toThrow(
        `the secret file ${file} is not used: others can read it (mode ${octal}): chmod 600 ${file}`,
      )
      await chmod(file, 0o600)
      expect(await read(file)).toBe('hunter2')
    },
  )

  it('is named in the command so that a shell takes it as it is', async () => {
    const file = await put("it's $(here)", 0o644)
    await expect(read(file)).rejects.toThrow(`chmod 600 '${join(project, "it'\\''s $(here)")}'`)
  })

  it.each([
    [0o777, 'go-w'],
    [0o757, 'go-w'],
  ])('in a directory with mode %o is not read: others could exchange it', async (mode, bits) => {
    const file = await put('sub/deep/db', 0o600)
    await chmod(join(project, 'sub'), mode)
    await expect(read(file)).rejects.toThrow(
      `others can change the directory ${join(project, 'sub')}: chmod ${bits} ${join(project, 'sub')}`,
    )
    await chmod(join(project, 'sub'), 0o755)
    expect(await read(file)).toBe('hunter2')
  })

  it('by a link in a directory that others can write is not read', async () => {
    await put('real/db', 0o600)
    await mkdir(join(project, 'open'))
    await symlink('../real/db', join(project, 'open/db'))
    await chmod(join(project, 'open'), 0o777)
    await expect(read(join(project, 'open/db'))).rejects.toThrow(`others can change the directory ${project}/open`)
  })

  it('in a directory like /tmp, where only owners can exchange files, is read', async () => {
    const file = await put('sub/db', 0o600)
    await chmod(join(project, 'sub'), 0o1777)
    expect(await read(file)).toBe('hunter2')
  })

  it.runIf(IS_ROOT)('of another user is not read, nor in a directory of theirs', async () => {
    const file = await put('db', 0o600, STRANGER)
    await expect(read(file)).rejects.toThrow(
      `${file} belongs to user ${STRANGER}, not to the worker's user or root: chown 0 ${file}`,
    )
    const below = await put('sub/db', 0o600)
    await chown(join(project, 'sub'), STRANGER, STRANGER)
    await expect(read(below)).rejects.toThrow(`${join(project, 'sub')} belongs to user ${STRANGER}`)
  })

  it.runIf(IS_ROOT)('in a directory that a group can write is read if its owner is alone in that group', async () => {
    const file = await put('sub/db', 0o600)
    await chmod(join(project, 'sub'), 0o775)
    // The group of root alone, as on most systems; then one with others in it, and one that is unknown.
    const isAlone = (await readFile('/etc/passwd', 'utf8'))
      .split('\n')
      .filter((line) => /^[^:]*:[^:]*:\d+:0:/.test(line))
    if (isAlone.length === 1) expect(await read(file)).toBe('hunter2')
    await chown(join(project, 'sub'), 0, STRANGER)
    await expect(read(file)).rejects.toThrow(`others can change the directory ${join(project, 'sub')}: chmod g-w`)
  })
})

describe.runIf(IS_ROOT)('a worker that is not root', () => {
  beforeEach(async () => {
    await chmod(project, 0o755)
  })

  it('reads its own files, and those of root that its group may read', async () => {
    expect(await readAsWorker(await put('own', 0o600, WORKER))).toBe('hunter2')
    expect(await readAsWorker(await put('root', 0o640, 0, WORKER))).toBe('hunter2')
  })

  it('reads none that others can read or change, or that is a stranger’s', async () => {
    const cases: [string, string][] = [
      [await put('a', 0o644, WORKER), `others can read it (mode 0644): chmod 600 ${project}/a`],
      [await put('b', 0o644, 0), `others can read it (mode 0644): chmod 640 ${project}/b`],
      [await put('c', 0o660, 0, WORKER), `others can change it: chmod go-w ${project}/c`],
      [
        await put('d', 0o644, STRANGER),
        `belongs to user ${STRANGER}, not to the worker's user or root: chown ${WORKER}`,
      ],
    ]
    for (const [file, text] of cases) expect(await readAsWorker(file)).toContain(text)
  })

  it('learns nothing of files that it cannot reach', async () => {
    await mkdir(join(project, 'locked'), { mode: 0o700 })
    const told = await readAsWorker(await put('locked/db', 0o600))
    expect(told).toContain('cannot be read: EACCES')
    expect(await readAsWorker('/root/.ssh/id_ed25519')).toContain('it lies outside')
  })
})

describe('a directory of MUSTER_SECRET_DIRS', () => {
  it.each([0o444, 0o440, 0o644])('may hold files with mode %o, as orchestrators mount them', async (mode) => {
    expect(await read(await put('sub/db', mode), [join(project, 'sub')])).toBe('hunter2')
  })

  it('may be open to all like the mount of a Kubernetes secret, if only owners can exchange files', async () => {
    const file = await put('sub/db', 0o444)
    await chmod(join(project, 'sub'), 0o1777)
    expect(await read(file, [join(project, 'sub')])).toBe('hunter2')
    await chmod(join(project, 'sub'), 0o777)
    await expect(read(file, [join(project, 'sub')])).rejects.toThrow('others can change the directory')
  })

  it('holds no file that others can change', async () => {
    const file = await put('sub/db', 0o646)
    await expect(read(file, [join(project, 'sub')])).rejects.toThrow(`others can change it: chmod o-w ${file}`)
  })

  it.runIf(IS_ROOT)('may belong to another user, who is then trusted, but no third one', async () => {
    const file = await put('sub/db', 0o444, STRANGER)
    await expect(read(file, [join(project, 'sub')])).rejects.toThrow(`belongs to user ${STRANGER}`)
    await chown(join(project, 'sub'), STRANGER, STRANGER)
    expect(await read(file, [join(project, 'sub')])).toBe('hunter2')
    await chmod(project, 0o755)
    expect(await readAsWorker(file, [join(project, 'sub')])).toBe('hunter2')
  })

  it.runIf(IS_ROOT)('cannot be exchanged for a link by whom it does not belong to', async () => {
    await put('secret/db', 0o600)
    await mkdir(join(project, 'theirs'))
    await symlink('../secret', join(project, 'theirs/sub'))
    await chown(join(project, 'theirs'), STRANGER, STRANGER)
    const named = join(project, 'theirs/sub')
    await expect(read(join(named, 'db'), [named])).rejects.toThrow(`${project}/theirs belongs to user ${STRANGER}`)
  })
})

describe('a key file', () => {
  const pem = '-----BEGIN OPENSSH PRIVATE KEY-----\n'
  const key = (identityFile: string, isOfOpenSsh?: true) =>
    readKey({ kind: 'key', identityFile, ...(isOfOpenSsh && { isOfOpenSsh }) }, from.directories)

  it.each([[undefined], [true]] as const)('is private, also where OpenSSH would take it (%s)', async (isOfOpenSsh) => {
    const file = await put('k', 0o644)
    await writeFile(file, pem)
    await expect(key(file, isOfOpenSsh)).rejects.toThrow(`others can read it (mode 0644): chmod 600 ${file}`)
    await chmod(file, 0o600)
    expect(String((await key(file, isOfOpenSsh)).pem)).toBe(pem)
  })

  it('may be read by all if it is the public half, and a private one is no public one by its name', async () => {
    const file = await put('k.pub', 0o644)
    await expect(key(file)).rejects.toThrow('others can read it')
    await writeFile(file, 'ssh-ed25519 AAAAC3 me')
    expect(String((await key(file)).pem)).toBe('ssh-ed25519 AAAAC3 me')
  })
})

describe('what will be refused', () => {
  it('is reported early, file by file with its hosts, without a word on good or absent ones', async () => {
    await Promise.all([put('good', 0o600), put('open', 0o644), put('k.pub', 0o644)])
    await writeFile(
      join(project, 'inventory.yaml'),
      `defaults: { identity_file: k.pub, sudo_password_file: absent }
hosts:
  "web[1-3]": { address: "10.0.0.[1-3]", password_file: ~/.netrc }
  db: { address: 10.0.0.9, password_file: good, sudo_password_file: open, identity_file: /etc/k, passphrase_file: open }
`,
    )
    const { source } = await openTestInventory(project, { home: '/home/me' })
    const directories = { ...from.directories, inventory: source.directory }
    const told = await earlyRefusals(source.current().hosts.values(), directories, [])
    expect(told).toEqual([
      expect.stringMatching(/^web\[1-3\]: the secret file \/home\/me\/\.netrc is not used: it lies outside/),
      expect.stringMatching(/^db: the key file \/etc\/k is not used: it lies outside/),
      expect.stringMatching(/^db: the secret file \S+open is not used: others can read it/),
    ])
  })
})
