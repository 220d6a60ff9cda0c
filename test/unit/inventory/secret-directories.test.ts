/** Secret files lie in the directories for them, whatever links and races there are; anything else is not read. */
import { execFileSync } from 'node:child_process'
import { link, mkdir, readFile, realpath, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { filesOfKey, readKey, readSecret, type SecretSources } from '@muster/inventory'
import { beforeEach, describe, expect, it } from 'vitest'
import { openTestInventory, temporaryDirectory } from '../../support/inventory/test-inventory.ts'

const FOREIGN = 'aws_secret_access_key = hunter2'

/** Where the inventory is, the home of the worker's user, and a directory that nobody named. */
let project = ''
let home = ''
let mount = ''
let from: SecretSources

beforeEach(async () => {
  ;[project, home, mount] = await Promise.all([temporaryDirectory(), temporaryDirectory(), temporaryDirectory()])
  from = { env: {}, directories: { home, named: [], inventory: () => project } }
  await put(join(home, '.aws/credentials'), FOREIGN)
  await put(join(home, '.netrc'), FOREIGN)
})

async function put(file: string, text: string, mode = 0o600): Promise<string> {
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, text, { mode })
  return file
}

const read = (path: string, sources = from) => readSecret({ kind: 'file', path }, sources)
const withNamed = (...named: string[]): SecretSources => ({ ...from, directories: { ...from.directories, named } })

async function refusal(path: string, sources = from): Promise<string> {
  const message = await read(path, sources).then(
    (secret) => expect.fail(`it was read: ${secret}`),
    (error: unknown) => String(error),
  )
  expect(message).not.toContain('hunter2')
  return message
}

async function linkTo(file: string): Promise<string> {
  const path = join(project, 'innocent')
  await symlink(file, path)
  return path
}

describe('a secret file', () => {
  it('beside the inventory or below is read', async () => {
    expect(await read(await put(join(project, 'db01'), 's3\n'))).toBe('s3')
    expect(await read(await put(join(project, 'secrets/db01'), 's4\n'))).toBe('s4')
  })

  it.each(['.aws/credentials', '.netrc'])(
    'elsewhere (%s) is not, and the directories and the setting are named',
    async (name) => {
      const file = join(home, name)
      const names = `move it into one of ${project}, /run/secrets, or name its directory in MUSTER_SECRET_DIRS`
      expect(await refusal(file)).toContain(
        `the secret file ${file} is not used: it lies outside the directories for it; ${names}`,
      )
      expect(await read(file, withNamed(dirname(file)))).toBe(FOREIGN)
    },
  )

  it.each(['muster.env', '.env', '.muster/api-key'])("beside the inventory is not Muster's own %s", async (name) => {
    const file = await put(join(project, name), 'MUSTER_API_KEY=hunter2')
    expect(await refusal(file)).toContain('is there for other programs')
    expect(await refusal(await linkTo(file))).toContain('is there for other programs')
  })

  it('of the system is not', async () => {
    for (const file of ['/etc/shadow', '/etc/passwd', '/proc/self/environ', '/dev/stdin']) {
      expect(await refusal(file)).toContain('outside the directories')
    }
  })

  it('elsewhere is told of in the same words whether it exists or not', async () => {
    const told = async (file: string) => (await refusal(file)).replaceAll(file, 'FILE')
    await symlink(join(home, '.netrc'), join(project, 'a'))
    await symlink(join(home, '.absent'), join(project, 'b'))
    expect(await told(join(home, '.absent/x'))).toBe(await told(join(home, '.netrc')))
    const [a, b] = [await told(join(project, 'a')), await told(join(project, 'b'))]
    expect(b.replace('.absent', '.netrc')).toBe(a)
  })

  it('is not in a directory whose name only begins alike, nor reached by ..', async () => {
    expect(await refusal(await put(`${project}-old/db01`, FOREIGN))).toContain('lies outside')
    await rm(`${project}-old`, { recursive: true })
    expect(await refusal(`${project}/../${relative(dirname(project), home)}/.netrc`)).toContain('outside')
  })

  it('may be a link that stays inside, and not one that leaves, in one step or several', async () => {
    await put(join(project, 'real/db01'), 's3')
    await symlink('real/db01', join(project, 'inside'))
    expect(await read(join(project, 'inside'))).toBe('s3')
    await symlink(join(home, '.netrc'), join(project, 'leaves'))
    await symlink('leaves', join(project, 'steps'))
    await symlink(join(home, '.aws'), join(project, 'docs'))
    await symlink('/proc/self/root/etc/passwd', join(project, 'magic'))
    await symlink('circle', join(project, 'circle'))
    expect(await refusal(join(project, 'leaves'))).toContain(`it leads to ${join(home, '.netrc')} and lies outside`)
    expect(await refusal(join(project, 'steps'))).toContain(`it leads to ${join(home, '.netrc')} and lies outside`)
    expect(await refusal(join(project, 'docs/credentials'))).toContain(`it leads to ${join(home, '.aws/credentials')}`)
    expect(await refusal(join(project, 'magic'))).toContain('it leads to /etc/passwd and lies outside')
    expect(await refusal(join(project, 'circle'))).toContain('it is a link in a circle')
  })

  it('may be reached by a link from elsewhere, and its directory may be a link', async () => {
    await put(join(project, 'db01'), 's3')
    await symlink(project, join(home, 'infra'))
    expect(await read(join(home, 'infra/db01'))).toBe('s3')
    await put(join(mount, 'real/db02'), 's4')
    await symlink(join(mount, 'real'), join(mount, 'current'))
    expect(await read(join(mount, 'current/db02'), withNamed(join(mount, 'current')))).toBe('s4')
  })

  it('is not a second name of a file elsewhere', async () => {
    await link(join(home, '.netrc'), join(project, 'db01'))
    expect(await refusal(join(project, 'db01'))).toContain('it has a second name (a hard link)')
  })

  it('is no pipe, which nobody waits for, and no directory', async () => {
    execFileSync('sh', ['-c', 'umask 077; mkfifo "$1"', 'sh', join(project, 'pipe')])
    expect(await refusal(join(project, 'pipe'))).toContain('it is not a regular file')
    await mkdir(join(project, 'directory'))
    expect(await refusal(join(project, 'directory'))).toContain('it is not a regular file')
  })

  it('shows no control character of its name in a line of its own', async () => {
    await symlink(join(home, 'a\nb'), join(project, 'odd'))
    expect(await refusal(join(project, 'odd'))).toContain('a\\nb')
  })
})

describe('a mount of Kubernetes', () => {
  /** As the kubelet makes it: a directory for each version, one link to it, and links through that. */
  async function publish(version: string, text: string): Promise<void> {
    await mkdir(join(mount, version))
    await put(join(mount, version, 'db01'), text, 0o440)
    await symlink(version, join(mount, '..data_tmp'))
    await rename(join(mount, '..data_tmp'), join(mount, '..data'))
  }

  beforeEach(async () => {
    await publish('..2026_01', 'first')
    await symlink('..data/db01', join(mount, 'db01'))
  })

  it('is read through its links, also after it was exchanged', async () => {
    const sources = withNamed(mount)
    expect(await read(join(mount, 'db01'), sources)).toBe('first')
    await publish('..2026_02', 'second')
    await rm(join(mount, '..2026_01'), { recursive: true })
    expect(await read(join(mount, 'db01'), sources)).toBe('second')
  })

  it('is read while it is exchanged', async () => {
    const sources = withNamed(mount)
    for (let i = 10; i < 40; i += 1) {
      const exchanged = publish(`..2026_${i}`, 'first').then(() =>
        rm(join(mount, i === 10 ? '..2026_01' : `..2026_${i - 1}`), { recursive: true }),
      )
      expect(await read(join(mount, 'db01'), sources)).toBe('first')
      await exchanged
    }
  })
})

describe('while somebody exchanges what leads to it', () => {
  /** Swaps two names for as long as the secret is read so many times; answers what was read, and what was refused. */
  async function race(file: string, swap: () => Promise<void>): Promise<Set<string>> {
    let isDone = false
    const swapping = (async () => {
      while (!isDone) await swap()
    })()
    const seen = new Set<string>()
    for (let i = 0; i < 300; i += 1) {
      seen.add(
        await read(file).catch((error: unknown) =>
          /outside|was replaced|ENOENT/.test(String(error)) ? 'no' : String(error),
        ),
      )
    }
    isDone = true
    await swapping
    return seen
  }

  it('the file is never one elsewhere: a link takes its place', async () => {
    const file = await put(join(project, 'db01'), 's3')
    await symlink(join(home, '.netrc'), join(project, 'link'))
    const seen = await race(file, async () => {
      await rename(file, join(project, 'kept'))
      await rename(join(project, 'link'), file)
      await rename(file, join(project, 'link'))
      await rename(join(project, 'kept'), file)
    })
    expect([...seen].filter((one) => one !== 's3' && one !== 'no')).toEqual([])
  })

  it('the file is never one elsewhere: a link takes the place of its directory', async () => {
    const file = await put(join(project, 'sub/credentials'), 's3')
    await symlink(join(home, '.aws'), join(project, 'link'))
    const seen = await race(file, async () => {
      await rename(join(project, 'sub'), join(project, 'kept'))
      await rename(join(project, 'link'), join(project, 'sub'))
      await rename(join(project, 'sub'), join(project, 'link'))
      await rename(join(project, 'kept'), join(project, 'sub'))
    })
    expect([...seen].filter((one) => one !== 's3' && one !== 'no')).toEqual([])
  })

  it("the inventory's directory is the one that it was read in, not a link that takes its place", async () => {
    const parent = await temporaryDirectory()
    const directory = join(parent, 'project')
    await put(join(directory, 'inventory.yaml'), 'hosts: { a: { password_file: credentials } }')
    await put(join(directory, 'credentials'), 's3')
    const { source } = await openTestInventory(directory)
    const sources = { ...from, directories: { ...from.directories, inventory: source.directory } }
    expect(source.directory()).toBe(await realpath(directory))
    expect(await read(join(directory, 'credentials'), sources)).toBe('s3')
    await rename(directory, join(parent, 'kept'))
    await symlink(join(home, '.aws'), directory)
    expect(await refusal(join(directory, 'credentials'), sources)).toContain('lies outside')
    await source.reload()
    expect(await refusal(join(directory, 'credentials'), sources)).toContain('lies outside')
  })

  it('a new version of the inventory brings its directory with it', async () => {
    const parent = await temporaryDirectory()
    for (const release of ['r1', 'r2']) {
      await put(join(parent, release, 'inventory.yaml'), 'hosts: { a: { password_file: db } }')
      await put(join(parent, release, 'db'), release)
    }
    await symlink('r1', join(parent, 'current'))
    const { source } = await openTestInventory(join(parent, 'current'))
    const sources = { ...from, directories: { ...from.directories, inventory: source.directory } }
    expect(await read(join(parent, 'current/db'), sources)).toBe('r1')
    await symlink('r2', join(parent, 'next'))
    await rename(join(parent, 'next'), join(parent, 'current'))
    await source.reload()
    expect(await read(join(parent, 'current/db'), sources)).toBe('r2')
  })
})

describe('an inventory in a directory that holds much else', () => {
  const inDirectory = (directory: string): SecretSources => ({
    ...from,
    directories: { ...from.directories, inventory: () => directory },
  })

  it('in the home directory may name files there, and no hidden one', async () => {
    const sources = inDirectory(home)
    expect(await read(await put(join(home, 'db01'), 's3'), sources)).toBe('s3')
    for (const name of ['.netrc', '.aws/credentials']) {
      expect(await refusal(join(home, name), sources)).toContain('it is there for other programs')
    }
    await put(join(home, '.ssh/id_ed25519'), FOREIGN)
    expect(await refusal(join(home, '.ssh/id_ed25519'), sources)).toContain('it is there for other programs')
  })

  it('above the home directory, in ~/.config, or in one of the system, may name none', async () => {
    expect(await refusal(join(home, '.aws/credentials'), inDirectory(dirname(home)))).toContain('lies outside')
    await put(join(home, '.config/gh/hosts.yml'), FOREIGN)
    expect(await refusal(join(home, '.config/gh/hosts.yml'), inDirectory(join(home, '.config')))).toContain('outside')
    for (const directory of ['/', '/etc']) {
      expect(await refusal('/etc/passwd', inDirectory(directory))).toContain('lies outside')
    }
  })
})

describe('a key file', () => {
  const key = (identityFile: string, isOfOpenSsh?: true) =>
    readKey({ kind: 'key', identityFile, ...(isOfOpenSsh && { isOfOpenSsh }) }, from.directories)
  const pem = '-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n-----END OPENSSH PRIVATE KEY-----\n'

  it('may lie in ~/.ssh, where a secret file may not', async () => {
    const file = await put(join(home, '.ssh/id_ed25519'), pem)
    expect(String((await key(file)).pem)).toBe(pem)
    expect(await refusal(file)).toContain('lies outside')
  })

  it('elsewhere is not read, nor is a link to one, nor the .pub file beside it', async () => {
    const file = await put(join(home, 'keys/k'), pem)
    await expect(key(file)).rejects.toThrow(`${project}, '~/.ssh', /run/secrets`.replaceAll("'", ''))
    await symlink(file, join(project, 'k'))
    await expect(key(join(project, 'k'))).rejects.toThrow(`it leads to ${file} and lies outside`)
    const good = await put(join(project, 'good'), pem)
    await put(join(home, 'x.pub'), 'ssh-ed25519 AAAA hunter2')
    await symlink(join(home, 'x.pub'), `${good}.pub`)
    expect(await key(good)).toEqual({ pem: await readFile(good) })
    await rm(good)
    await expect(key(good)).rejects.toThrow(`it leads to ${join(home, 'x.pub')} and lies outside`)
  })

  it('that OpenSSH would take by itself may lie anywhere', async () => {
    const file = await put(join(home, 'keys/k'), pem)
    await put(`${file}.pub`, 'ssh-ed25519 AAAA', 0o644)
    expect(String((await key(file, true)).publicHalf)).toBe('ssh-ed25519 AAAA')
  })
})

describe('a key that a request names', () => {
  const ofRequest = (identityFile: string) => ({ kind: 'key', identityFile, isOfRequest: true }) as const
  const told = async (identityFile: string) => {
    const directories = { ...from.directories, forRequests: [join(home, 'keys')] }
    return await readKey(ofRequest(identityFile), directories).then(
      ({ pem }) => pem.toString(),
      (error: unknown) => ({ message: String(error), log: error instanceof Error ? String(error.cause) : '' }),
    )
  }

  it('is read from the directories for that, and judged by its path before anything is looked at', async () => {
    const key = await put(join(home, 'keys/deploy'), 'a key')
    await symlink(key, join(home, 'link-into-it'))
    expect(await told(key)).toBe('a key')
    for (const path of [join(home, 'link-into-it'), `${home}/keys/../link-into-it`, `${home}/keys-old/x`]) {
      expect(await told(path)).toMatchObject({
        message: expect.stringContaining('lies outside the directories for it'),
      })
      expect(filesOfKey(ofRequest(path), { ...from.directories, forRequests: [join(home, 'keys')] })).toEqual([])
    }
  })

  it('is refused without a word of where its link leads, or what is there; the log has it', async () => {
    await mkdir(join(home, 'keys'))
    await symlink(join(home, '.netrc'), join(home, 'keys/there'))
    await symlink(join(home, '.absent'), join(home, 'keys/nowhere'))
    const why = 'it is a link that leads elsewhere; the log of the worker says more'
    const message = (name: string) => `MusterError: the key file ${join(home, 'keys', name)} is not used: ${why}`
    expect(await told(join(home, 'keys/there'))).toMatchObject({
      message: message('there'),
      log: expect.stringContaining(`it leads to ${join(home, '.netrc')} and lies outside`),
    })
    expect(await told(join(home, 'keys/nowhere'))).toMatchObject({ message: message('nowhere') })
  })
})
