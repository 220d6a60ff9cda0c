/**
 * `muster trust`: a real ssh-keyscan against a real sshd, the known_hosts of a home directory of the test's own, and a
 * stand-in program where a host says what no sshd would. No server runs.
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { fingerprintOf, parseKnownHosts } from '@muster/contract'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { muster } from '../../support/cli/muster-process.ts'
import { HAS_TERMINAL, nodeOnTerminal } from '../../support/cli/terminal.ts'

const { port, hostKeys } = inject('sshd')
const ED25519 = `ssh-ed25519 ${hostKeys['ssh-ed25519']}`
const PRINT = fingerprintOf(Buffer.from(hostKeys['ssh-ed25519'] ?? '', 'base64'))
const HOST = `root@127.0.1.1:${port}`
const NAME = `[127.0.1.1]:${port}`
/** A good key that the sshd does not have. */
const OTHER = `ssh-ed25519 ${'AAAAC3NzaC1lZDI1NTE5AAAAIGPr'.padEnd(68, 'A')}`

/** A person with this known_hosts, or none, and `muster trust` as they call it. */
async function person(text?: string, more: Record<string, string> = {}) {
  const home = await mkdtemp(join(tmpdir(), 'muster-trust-'))
  onTestFinished(() => rm(home, { recursive: true, force: true }))
  const file = join(home, '.ssh/known_hosts')
  if (text !== undefined) {
    await mkdir(join(home, '.ssh'), { mode: 0o700 })
    await writeFile(file, text, { mode: 0o600 })
  }
  const env = { PATH: process.env.PATH, HOME: home, ...more }
  const trust = async (...words: string[]) => {
    const { status, out, said } = await muster(env, 'trust', ...words)
    return { status, out: out.toString(), said }
  }
  const read = async () => await readFile(file, 'utf8').catch(() => undefined)
  return { home, file, env, trust, read }
}

/** A PATH whose first ssh-keyscan prints this. */
async function withKeyscan(script: string): Promise<Record<string, string>> {
  const directory = await mkdtemp(join(tmpdir(), 'muster-keyscan-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  await writeFile(join(directory, 'ssh-keyscan'), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  return { PATH: `${directory}:${process.env.PATH}` }
}

describe('without a terminal', () => {
  test('nothing is added unasked: the keys are shown, and what to give', async () => {
    const { trust, read } = await person()
    const { status, out, said } = await trust(HOST)
    expect([status, out]).toEqual([2, expect.stringContaining('nothing was added: there is no terminal to ask on')])
    expect(said).toContain(`${HOST} (${NAME}) shows:\n  ssh-ed25519          ${PRINT}\n`)
    expect(await read()).toBeUndefined()
  })

  test('a fingerprint adds that key alone, for its owner alone, once', async () => {
    const { trust, read, home, file } = await person()
    const added = await trust(HOST, '--fingerprint', PRINT)
    expect(added, added.said).toMatchObject({ status: 0, out: `${HOST}: 1 key added to ${file}\n` })
    expect(await read()).toBe(`${NAME} ${ED25519}\n`)
    const modes = await Promise.all([file, join(home, '.ssh')].map(async (path) => (await stat(path)).mode & 0o777))
    expect(modes).toEqual([0o600, 0o700])
    const again = await trust(HOST, '--yes')
    expect(again).toMatchObject({ status: 0, out: `${HOST}: already known, with ${PRINT}; nothing was added\n` })
    expect(await read()).toBe(`${NAME} ${ED25519}\n`)
  })

  test('another fingerprint adds nothing, and the keys that are shown are told', async () => {
    const { trust, read } = await person()
    const { status, out } = await trust(HOST, '--fingerprint', `SHA256:${'A'.repeat(43)}`)
    expect([status, out]).toEqual([1, expect.stringMatching(/not trusted: it shows SHA256.*, and not SHA256:AAAA/)])
    expect(out).toContain(PRINT)
    expect(await read()).toBeUndefined()
    const knowing = await person(`${NAME} ${ED25519}\n`)
    expect(await knowing.trust(HOST, '--fingerprint', `SHA256:${'A'.repeat(43)}`)).toMatchObject({ status: 1 })
  })

  test('--yes adds every key of several hosts, and one that cannot be reached is told', async () => {
    const { trust, read, file } = await person('web1 ssh-ed25519 AAAA')
    const { status, out } = await trust(HOST, `root@127.0.1.2:${port}`, 'root@127.0.1.3:1', '--yes')
    expect(status).toBe(4)
    expect(out.split('\n')).toEqual([
      `${HOST}: 3 keys added to ${file}`,
      `root@127.0.1.2:${port}: 3 keys added to ${file}`,
      expect.stringMatching(/^root@127\.0\.1\.3:1: cannot be scanned: /),
      '',
    ])
    const text = (await read()) ?? ''
    // The last line had no newline.
    expect(text.split('\n').slice(0, 2)).toEqual(['web1 ssh-ed25519 AAAA', `${NAME} ${ED25519}`])
    const known = parseKnownHosts(text)
    for (const name of [NAME, `[127.0.1.2]:${port}`]) {
      expect(known.knownTypes(name).toSorted()).toEqual(Object.keys(hostKeys).toSorted())
    }
  })

  test('-l and -p stand for what a target does not say, as for muster run', async () => {
    const { trust, read, file } = await person()
    const given = await trust('-l', 'root', '-p', String(port), '127.0.1.1,deploy@127.0.1.2', '--yes')
    expect(given.out.split('\n'), given.said).toEqual([
      `${HOST}: 3 keys added to ${file}`,
      `deploy@127.0.1.2:${port}: 3 keys added to ${file}`,
      '',
    ])
    expect(parseKnownHosts((await read()) ?? '').knownTypes(NAME)).toHaveLength(3)
    const own = await trust('-l', 'root', '-p', '1', HOST, '--yes')
    expect([own.status, own.out]).toEqual([0, expect.stringContaining(`${HOST}: already known`)])
  })

  test('what is behind a jump host is not scanned, and the text says what to do there', async () => {
    const { trust, read } = await person()
    const { status, out } = await trust('-J', 'jump@bastion.test', HOST, '--yes')
    const why = 'it is reached through jump@bastion.test, which a scan cannot go through; run there: ssh-keyscan'
    expect([status, out]).toEqual([4, expect.stringContaining(why)])
    expect(await read()).toBeUndefined()
  })

  test('those that add keys at the same time each add whole lines', async () => {
    const { trust, read } = await person('web1 ssh-ed25519 AAAA\n')
    const addresses = Array.from({ length: 6 }, (_, i) => `127.0.1.${i + 1}`)
    const all = await Promise.all(addresses.map((address) => trust(`root@${address}:${port}`, '--yes')))
    expect(all.map(({ status }) => status)).toEqual(addresses.map(() => 0))
    const text = (await read()) ?? ''
    const known = parseKnownHosts(text)
    for (const address of addresses) expect(known.knownTypes(`[${address}]:${port}`)).toHaveLength(3)
    expect(text.split('\n')).toHaveLength(1 + 6 * 3 + 1)
  })

  test('--print prints the lines alone, and adds nothing', async () => {
    const { trust, read } = await person()
    const { status, out } = await trust(HOST, '--print', '--fingerprint', PRINT)
    expect([status, out, await read()]).toEqual([0, `${NAME} ${ED25519}\n`, undefined])
    const { out: json } = await trust(HOST, '--print', '--json')
    expect(JSON.parse(json)).toMatchObject({
      hosts: [{ host: HOST, listed_as: NAME, outcome: 'printed', lines: { length: 3 } }],
    })
  })
})

test.each([
  [['root@a', 'root@b', '--fingerprint', PRINT], '--fingerprint is for one host; these targets are 2'],
  [[HOST, '--fingerprint', 'MD5:aa:bb'], '--fingerprint takes SHA256: and 43 characters'],
  [[HOST, '--fingerprint', PRINT, '--yes'], 'give one of them'],
  [['web1', '--yes'], '"web1" is not of the form user@host or user@host:port, and no server runs here'],
  [['--yes'], 'no targets given'],
  [['-p', '70000', HOST], '--port: '],
  [['-l', 'root', '@web'], '--login-user is for hosts that are named by their address: @web has none'],
  [['-p', '22', 'web[1,2]'], '--port is for hosts that are named by their address'],
])('%j is refused, with what to do', async (words, said) => {
  const { trust, read } = await person()
  expect(await trust(...words)).toMatchObject({ status: 2, out: '', said: expect.stringContaining(said) })
  expect(await read()).toBeUndefined()
})

test.each([
  ['another key is listed', `${NAME} ${OTHER}\n`, `ssh-keygen -R '${NAME}' -f `],
  ['the key is revoked', `@revoked * ${ED25519}\n`, `which is marked @revoked for ${NAME}`],
  ['one type has another key', `${NAME} ${OTHER}\n${NAME} ssh-rsa ${hostKeys['ssh-rsa']}\n`, 'another key is listed'],
])('where %s the host is refused, and the file stays as it is', async (_title, text, said) => {
  const { trust, read } = await person(text)
  const { status, out } = await trust(HOST, '--yes')
  expect([status, out]).toEqual([1, expect.stringContaining(said)])
  expect(await read()).toBe(text)
})

test('without ssh-keyscan nothing is done, and the text says what to install', async () => {
  const { trust, read } = await person(undefined, { PATH: '/is-not-there' })
  const said = 'there is no ssh-keyscan on the PATH, which reads host keys: install the client of OpenSSH'
  expect(await trust(HOST, '--yes')).toMatchObject({ status: 2, out: '', said: expect.stringContaining(said) })
  expect(await read()).toBeUndefined()
})

test('the line that mends a changed key does so', async () => {
  const { trust, read } = await person(`web1 ${OTHER}\n${NAME} ${OTHER}\n`)
  const { out } = await trust(HOST, '--yes')
  const [line = ''] = /ssh-keygen -R [^,]*/.exec(out) ?? []
  await promisify(execFile)('/bin/sh', ['-c', line])
  expect(await trust(HOST, '--fingerprint', PRINT)).toMatchObject({ status: 0 })
  expect(await read()).toBe(`web1 ${OTHER}\n${NAME} ${ED25519}\n`)
})

test('where names are hashed the new one is too, and ssh-keygen finds it', async () => {
  const { trust, read, file } = await person(`web1 ${OTHER}\n`)
  await promisify(execFile)('ssh-keygen', ['-H', '-f', file])
  expect(await trust(HOST, '--yes')).toMatchObject({ status: 0 })
  expect(await read()).not.toContain('127.0.1.1')
  const { stdout } = await promisify(execFile)('ssh-keygen', ['-F', NAME, '-f', file])
  expect(stdout).toContain(ED25519)
  expect((await trust(HOST, '--yes')).out).toContain('already known')
})

test('MUSTER_KNOWN_HOSTS says which file it is, and a file that cannot be written is told', async () => {
  const { trust, home, env } = await person()
  const file = join(home, 'own/hosts')
  const { status } = await muster({ ...env, MUSTER_KNOWN_HOSTS: `${file}:/etc/other` }, 'trust', HOST, '--yes')
  expect([status, await readFile(file, 'utf8')]).toEqual([0, expect.stringContaining(`${NAME} ${ED25519}\n`)])
  await mkdir(join(home, '.ssh/known_hosts'), { recursive: true })
  expect(await trust(HOST, '--yes')).toMatchObject({
    status: 2,
    said: expect.stringMatching(/known_hosts cannot be read \(EISDIR\), so nothing was added/),
  })
})

describe('what a host makes ssh-keyscan print is no line of known_hosts:', () => {
  const line = (text: string) => `printf '%b' '${text}'`
  test.each([
    ['another name', line(`* ${ED25519}\\n`)],
    ['a marker', line(`@cert-authority ${NAME} ${ED25519}\\n`)],
    ['a list of names', line(`${NAME},* ${ED25519}\\n`)],
    ['more behind the key', line(`${NAME} ${ED25519} x\\n`)],
    ['a second line in a carriage return', line(`${NAME} ${ED25519}\\r* ${ED25519}\\n`)],
    ['a key of another type', line(`${NAME} ssh-rsa ${hostKeys['ssh-ed25519']}\\n`)],
    ['a type that nobody knows', line(`${NAME} ssh-dss AAAAB3NzaC1kc3MAAAAA\\n`)],
    ['half a key', line(`${NAME} ${ED25519.slice(0, -8)}\\n`)],
    ['two keys of a type', line(`${NAME} ${ED25519}\\n${NAME} ${OTHER}\\n`)],
    ['escape characters', line(`${NAME} \\033[2J\\n`)],
    ['no end', 'yes "# nothing"'],
    ['nothing', 'exit 0'],
    ['a fault', 'echo "getaddrinfo x: Name or service not known" >&2; exit 1'],
    ['a key, and is killed', `${line(`${NAME} ${ED25519}\\n`)}; kill -9 $$`],
  ])('%s', async (_title, script) => {
    const { trust, read } = await person(undefined, await withKeyscan(script))
    const { status, out } = await trust(HOST, '--yes')
    expect([status, out]).toEqual([4, expect.stringMatching(/: cannot be scanned: .+\n$/)])
    expect(out).not.toContain('\x1b')
    expect(await read()).toBeUndefined()
  })

  test('a whole key counts, whatever comments stand around it', async () => {
    const { trust, read } = await person(undefined, await withKeyscan(line(`# c\\n\\n${NAME} ${ED25519}\\n# ${NAME}`)))
    expect(await trust(HOST, '--yes')).toMatchObject({ status: 0 })
    expect(await read()).toBe(`${NAME} ${ED25519}\n`)
  })
})

describe.runIf(HAS_TERMINAL)('on a terminal each host is asked for:', () => {
  const typed = async (answers: string, ...words: string[]) => {
    const { env, read } = await person()
    const terminal = nodeOnTerminal([resolve('apps/cli/bin/muster.js'), 'trust', ...words], { env })
    let shown = ''
    terminal.stdout.on('data', (bytes: Buffer) => {
      shown += bytes.toString()
    })
    await expect.poll(() => shown, { timeout: 20_000 }).toContain('(yes/no/[fingerprint])? ')
    terminal.stdin.write(answers)
    const [status] = await new Promise<unknown[]>((done) => terminal.once('close', (...end) => done(end)))
    return { status, shown, text: await read() }
  }

  test('yes adds its keys, and no adds none', async () => {
    const { status, shown, text } = await typed('yes\nno\n', HOST, `root@127.0.1.2:${port}`)
    expect([status, shown]).toEqual([1, expect.stringContaining(`127.0.1.2:${port}: not trusted; nothing was added`)])
    expect(text?.split('\n')).toEqual([`${NAME} ${ED25519}`, expect.any(String), expect.any(String), ''])
    expect(text).not.toContain('127.0.1.2')
  }, 60_000)

  test('its fingerprint counts as yes, for that key', async () => {
    const { status, text } = await typed(`hm\n${PRINT}\n`, HOST)
    expect([status, text]).toEqual([0, `${NAME} ${ED25519}\n`])
  }, 60_000)

  test.each([
    ['another fingerprint', `SHA256:${'A'.repeat(43)}\n`],
    ['the end of the input', '\x04'],
  ])(
    '%s adds nothing',
    async (_title, answers) => {
      expect(await typed(answers, HOST)).toMatchObject({ status: 1, text: undefined })
    },
    60_000,
  )
})
