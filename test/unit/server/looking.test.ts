/**
 * The programs that look at hosts, on this machine: any name, any path, with GNU tools and without; and what is read.
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { directoryCommand, readDirectory } from '../../../apps/server/src/operations/looks/directory-program.ts'
import { diskCommand, isDisk, readDisks } from '../../../apps/server/src/operations/looks/disk-program.ts'
import { pathArgument } from '../../../apps/server/src/operations/looks/host-path.ts'
import { callAgain } from '../../../apps/server/src/operations/looks/look.ts'

const run = promisify(execFile)

async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'muster-looking-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return directory
}

/** A PATH on which there is no find, sort or grep. */
async function bareMachine(): Promise<string> {
  const bin = await temporaryDirectory()
  for (const program of ['ls', 'stat', 'readlink']) {
    const { stdout } = await run('sh', ['-c', `command -v ${program}`])
    await symlink(stdout.trim(), join(bin, program))
  }
  return bin
}

/** Runs the words as sshd's shell would, without any shell of ours. */
async function carryOut([program = '', ...words]: readonly string[], cwd: string, path = process.env.PATH) {
  const file = program === 'sh' ? '/bin/sh' : program
  const options = { cwd, env: { PATH: path, LC_ALL: 'C', HOME: cwd }, encoding: 'buffer' as const }
  return await run(file, words, options).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr: stderr.toString() }),
    (error: { code: number; stdout: Buffer; stderr: Buffer }) => ({
      code: error.code,
      stdout: error.stdout,
      stderr: error.stderr.toString(),
    }),
  )
}

async function list(cwd: string, path: string, options: { most?: number; after?: Buffer; bin?: string } = {}) {
  const { most = 1_000, after, bin } = options
  const { code, stdout, stderr } = await carryOut(directoryCommand(path, most, after), cwd, bin ?? process.env.PATH)
  return { code, stderr, read: readDirectory(stdout, after) }
}

const HOSTILE = [
  'a b',
  '-delete',
  '-exec',
  '(',
  ')',
  '!',
  '$(id)',
  '`id`',
  ';',
  '; rm -rf x',
  "'",
  '"',
  '*',
  '[a]',
  'é',
  '☃',
  'new\nline',
  '\nfirst',
  'tab\t',
  '\x1b[2J',
  '\u202e',
  '%s',
  '\\',
  '\\0101',
  '~',
  '.hidden',
  '..two',
  '-oProxyCommand=x',
  'x',
]
const BAD_UTF8 = [Buffer.from('bad\xff\xfe', 'latin1'), Buffer.from('\xc3', 'latin1'), Buffer.from('.\x80', 'latin1')]
const slash = Buffer.from('/')

describe.each(['with GNU find', 'without find, sort and grep'])('a directory %s', (how) => {
  const binOf = async () => (how === 'with GNU find' ? {} : { bin: await bareMachine() })

  test('of names that hold anything is listed in whole, and page by page', async () => {
    const [directory, bin] = [await temporaryDirectory(), await binOf()]
    const names = [...HOSTILE.map((name) => Buffer.from(name)), ...BAD_UTF8]
    for (const name of names) await writeFile(Buffer.concat([Buffer.from(directory), slash, name]), 'x')
    const { read } = await list(directory, '.', bin)
    const sortedNames = (all: readonly Buffer[]) => all.map((name) => name.toString('latin1')).toSorted()
    expect(sortedNames(read?.entries.map(({ bytes }) => bytes) ?? [])).toEqual(sortedNames(names))
    expect(read).toMatchObject({ isDirectory: true, total: names.length })
    const paged: Buffer[] = []
    for (let after: Buffer | undefined; ; after = paged.at(-1)) {
      const page = await list(directory, '.', { ...bin, most: 4, ...(after === undefined ? {} : { after }) })
      const shown = page.read?.entries.slice(0, 4) ?? []
      paged.push(...shown.map(({ bytes }) => bytes))
      if ((page.read?.entries.length ?? 0) <= 4) break
    }
    expect(paged).toEqual(read?.entries.map(({ bytes }) => bytes))
    // A name that is gone in the meantime is still a position.
    const behind = await list(directory, '.', { ...bin, after: Buffer.from('\x1b[2J!gone') })
    expect(behind.read?.entries.length).toBeLessThan(names.length)
    expect(behind.read?.entries[0]?.name).not.toBe('\x1b[2J')
  })

  test('tells of each entry what it is', async () => {
    const [directory, bin] = [await temporaryDirectory(), await binOf()]
    await writeFile(join(directory, 'file'), 'hello', { mode: 0o640 })
    await mkdir(join(directory, 'sub'))
    await symlink('/no//such/thing/\n', join(directory, 'link'))
    await run('mkfifo', [join(directory, 'pipe')])
    const { read } = await list(directory, '.', bin)
    const user = (await run('id', ['-un'])).stdout.trim()
    expect(read?.entries).toMatchObject([
      {
        name: 'file',
        type: 'file',
        size_bytes: 5,
        mode: '0640',
        owner: user,
        modified_at: expect.stringMatching(/^2\d{3}-.*Z$/),
      },
      { name: 'link', type: 'symlink', target: '/no//such/thing/\n' },
      { name: 'pipe', type: 'fifo' },
      { name: 'sub', type: 'directory' },
    ])
    const alone = await list(directory, 'file', bin)
    expect(alone.read).toMatchObject({ isDirectory: false, total: 1, entries: [{ name: 'file', size_bytes: 5 }] })
    expect((await list(directory, 'link', bin)).read).toMatchObject({ entries: [{ name: 'link', type: 'symlink' }] })
    expect(await list(directory, 'sub', bin)).toMatchObject({
      code: 0,
      read: { isDirectory: true, total: 0, entries: [] },
    })
    expect((await list(directory, '~/sub/..', bin)).read?.total).toBe(4)
  })

  test('that is not there, or is none, is reported in words and by the exit code', async () => {
    const [directory, bin] = [await temporaryDirectory(), await binOf()]
    await writeFile(join(directory, 'file'), '')
    const missing = await list(directory, 'no/such', bin)
    expect(missing).toMatchObject({ stderr: expect.stringContaining('No such file or directory'), read: undefined })
    expect(missing.code).not.toBe(0)
    expect((await list(directory, 'file/x', bin)).stderr).toContain('Not a directory')
  })

  test('is found under any path, and no path is ever anything else', async () => {
    const [directory, bin] = [await temporaryDirectory(), await binOf()]
    const witness = join(directory, 'ran')
    const hostile = [
      ...HOSTILE.filter((name) => name !== '~'),
      `$(touch ${'ran'})`,
      '; touch ran',
      '`touch ran`',
      '-fprint',
      "'; touch ran; '",
    ]
    for (const name of hostile) {
      await mkdir(join(directory, name), { recursive: true })
      await writeFile(join(directory, name, 'inside'), '')
    }
    for (const name of hostile) {
      const { read } = await list(directory, name, bin)
      expect(
        read?.entries.map((entry) => entry.name),
        name,
      ).toEqual(['inside'])
    }
    await expect(readFile(witness)).rejects.toThrow('ENOENT')
  })
})

test('a path is an argument that begins with a slash or a dot, and the home directory is where commands begin', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1 }), (path) => {
      expect(pathArgument(path)).toMatch(/^(\/|\.\/)/)
    }),
  )
  expect(['~', '~/x', '~x', './~', '/etc', '-delete'].map(pathArgument)).toEqual([
    './',
    './x',
    './~x',
    './~',
    '/etc',
    './-delete',
  ])
})

test('the program is one and the same for every path, and the path a word of its own', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), (a, b) => {
      const [of, other] = [directoryCommand(a, 10, undefined), directoryCommand(b, 10, undefined)]
      expect(of.slice(0, 4)).toEqual(other.slice(0, 4))
      expect(of[4]).toBe(pathArgument(a))
      expect(diskCommand(a).slice(0, 4)).toEqual(diskCommand(b).slice(0, 4))
      expect(diskCommand(a)[4]).toBe(pathArgument(a))
    }),
  )
})

test('an entry of any bytes is read as it was printed, and half of one is left out', () => {
  const name = fc
    .uint8Array({ minLength: 1, maxLength: 30 })
    .map((bytes) => Buffer.from(bytes.map((byte) => (byte === 0 || byte === 0x2f ? 0x41 : byte))))
  const target = fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes.map((byte) => byte || 0x42)))
  fc.assert(
    fc.property(fc.array(fc.tuple(name, target), { maxLength: 8 }), fc.nat(), (all, cut) => {
      const records = all.map(([bytes, to]) =>
        Buffer.concat([Buffer.from('0'), bytes, Buffer.from('/l/5/777/1700000000.5/me:us:'), to, Buffer.from('\0')]),
      )
      const printed = Buffer.concat([Buffer.from(`dir/${all.length}\0`), ...records])
      const read = readDirectory(printed, undefined)
      expect(read?.entries.map(({ bytes }) => bytes.toString('hex'))).toEqual(
        all.map(([bytes]) => bytes.toString('hex')),
      )
      const part = readDirectory(printed.subarray(0, cut % (printed.length + 1)), undefined)
      expect(all.length).toBeGreaterThanOrEqual(part?.entries.length ?? 0)
    }),
  )
  expect(readDirectory(Buffer.from('Welcome!\ndir/0\0'), undefined)).toBeUndefined()
})

test('a next call repeats how hosts are reached, and no secret of that: it names those to give again', () => {
  const connect = { port: 2222, password: 'canary-look-4Gh7', private_key: 'canary-look-key', passphrase: 'phrase' }
  const input = { targets: 'root@10.0.0.5', connect, wait_s: 20, idempotency_key: 'first' }
  const look = { tool: 'test_connection', title: 'test', argv: ['true'], execTimeoutS: 10, input } as const
  expect(callAgain(look, 'more', { idempotency_key: 'again' })).toEqual({
    why: 'more; give connect.password and connect.private_key and connect.passphrase again',
    tool: 'test_connection',
    arguments: { targets: 'root@10.0.0.5', connect: { port: 2222 }, wait_s: 20, idempotency_key: 'again' },
  })
  const { connect: _none, ...without } = input
  expect(callAgain({ ...look, input: without }, 'more', {})).toEqual({
    why: 'more',
    tool: 'test_connection',
    arguments: { targets: 'root@10.0.0.5', wait_s: 20 },
  })
})

describe('df', () => {
  test('of this machine is read, and the file system of a path', async () => {
    const all = await carryOut(diskCommand(undefined), '/')
    const disks = readDisks(all.stdout.toString())
    expect(disks.length).toBeGreaterThan(0)
    const one = readDisks((await carryOut(diskCommand('/'), '/')).stdout.toString())
    expect(one).toMatchObject([{ mount: '/', sizeBytes: expect.any(Number) }])
    expect(one[0]?.usedPercent).toBeLessThanOrEqual(100)
    const missing = await carryOut(diskCommand('-no; such'), '/')
    expect(missing).toMatchObject({ code: 1, stderr: expect.stringContaining('./-no; such') })
  })

  test('is read in its three forms, with spaces in names', () => {
    const gnu = [
      'Filesystem     Type   1B-blocks       Used      Avail Inodes IUsed Use% Mounted on',
      '/dev/vda1      ext4  1000000000  400000000  500000000   1000   100  45% /',
      '//srv/my share cifs  1000000000  400000000  500000000      0     0  45% /mnt/my share',
      'tmpfs          tmpfs  100000000          0  100000000      -     -   0% /run',
    ].join('\n')
    expect(readDisks(gnu)).toMatchObject([
      { filesystem: '/dev/vda1', mount: '/', usedPercent: 45, sizeBytes: 1_000_000_000, inodesUsedPercent: 10 },
      { filesystem: '//srv/my share', type: 'cifs', mount: '/mnt/my share', inodesUsedPercent: undefined },
      { filesystem: 'tmpfs', usedPercent: 0 },
    ])
    expect(readDisks(gnu).filter(isDisk)).toHaveLength(2)
    const typed =
      'Filesystem Type 1024-blocks Used Available Capacity Mounted on\n/dev/sda ext4 1000 500 500 50% /x y\n'
    expect(readDisks(typed)).toMatchObject([{ sizeBytes: 1_024_000, usedPercent: 50, mount: '/x y', type: 'ext4' }])
    const plain =
      'Filesystem 1024-blocks Used Available Capacity Mounted on\nudev 10 0 10 0% /dev\n/dev/sda 1000 500 500 50% /\n'
    expect(readDisks(plain).filter(isDisk)).toMatchObject([
      { filesystem: '/dev/sda', type: undefined, availableBytes: 512_000 },
    ])
    expect(readDisks('Welcome\nto my host\n')).toEqual([])
  })

  test('tells what lives in memory or in images from disks; the root counts whatever it is on', () => {
    const disk = (type: string, mount: string, sizeBytes = 5) =>
      isDisk({
        filesystem: 'x',
        type,
        mount,
        sizeBytes,
        usedBytes: 1,
        availableBytes: 1,
        usedPercent: 1,
        inodesUsedPercent: undefined,
      })
    expect(['tmpfs', 'devtmpfs', 'squashfs', 'overlay'].map((type) => disk(type, '/x'))).toEqual([
      false,
      false,
      false,
      false,
    ])
    expect([disk('overlay', '/'), disk('ext4', '/x'), disk('nfs4', '/home'), disk('ext4', '/x', 0)]).toEqual([
      true,
      true,
      true,
      false,
    ])
  })
})

describe('a host that answers with what no host has', () => {
  const record = (fields: string) => Buffer.from(`dir/1\0${fields}\0`)
  test.each([
    ['a size of 400 digits', `0a/f/${'9'.repeat(400)}/644/1.0/root:root:`],
    ['a mode of 10 digits', '0a/f/1/0000000644/1.0/root:root:'],
    ['a time that is none', '0a/f/1/644/1.2.3/root:root:'],
    ['an owner without end', `0a/f/1/644/1.0/${'x'.repeat(300)}:root:`],
    ['a target without end', `0a/l/1/644/1.0/root:root:${'x'.repeat(5_000)}`],
    ['a name without end', `0${'x'.repeat(1_025)}/f/1/644/1.0/root:root:`],
  ])('has given no list: %s', (_what, fields) => {
    expect(readDirectory(record('0a/f/1/644/1.0/root:root:'), undefined)?.entries).toHaveLength(1)
    expect(readDirectory(record(fields), undefined)).toBeUndefined()
  })

  const HEAD = 'Filesystem Type 1024-blocks Used Available Capacity Mounted on'
  test.each([
    ['more bytes than a number can tell', `/dev/a ext4 ${'9'.repeat(16)} 1 1 1% /`],
    ['thirty digits', `/dev/a ext4 ${'9'.repeat(30)} 1 1 1% /`],
    ['1000 %', '/dev/a ext4 1 1 1 1000% /'],
    ['a type that is none', '/dev/a ex\x1b[2Jt4 1 1 1 1% /'],
    ['a line without end', `/dev/a ext4 1 1 1 1% /${'x'.repeat(5_000)}`],
  ])('has no such disk: %s', (_what, line) => {
    expect(readDisks(`${HEAD}\n/dev/b ext4 1 1 1 1% /\n${line}\n`)).toMatchObject([{ filesystem: '/dev/b' }])
  })
})
