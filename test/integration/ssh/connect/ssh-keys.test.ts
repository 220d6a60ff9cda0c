/**
 * Key files as people have them: mended where they can only mean one thing, and else told by their cause, with what to
 * do and without any part of the key. Keys of ssh-keygen and puttygen, and a real sshd.
 */
import { execFileSync } from 'node:child_process'
import { appendFileSync, chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { findProgram } from '../../../support/runtime/programs.ts'
import { dial, keyFile, reach, sshdHost } from '../../../support/ssh/ssh.ts'

const sshd = inject('sshd')
const PASSPHRASE = 'open sesame'
let dir = ''
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'muster-keys-'))
})
afterAll(() => rmSync(dir, { recursive: true }))

/** A new key that the test daemon takes. */
function makeKey(name: string, ...options: string[]): string {
  const file = join(dir, name)
  execFileSync('ssh-keygen', ['-q', '-N', '', '-C', name, '-f', file, ...options])
  appendFileSync(sshd.authorizedKeysFile, readFileSync(`${file}.pub`))
  return file
}

/** What is said of a log-in with this content as the file `id`. */
async function logIn(pem: string | Buffer, passphrase?: string, source = '/keys/id') {
  const key = { kind: 'key', pem, source, ...(passphrase === undefined ? {} : { passphrase }) } as const
  const result = await dial(sshdHost({ credentials: [key] }))
  if (result.ok) result.connection.close()
  return result
}

/** Whether any run of eight characters of the key's base64 stands in the text. */
function leaks(pem: string, text: string): boolean {
  const base64 = pem.replaceAll(/-----[^-]*-----|\s/g, '')
  return Array.from({ length: base64.length - 8 }, (_, i) => base64.slice(i, i + 8)).some((part) => text.includes(part))
}

describe('a private key is taken', () => {
  const kinds: [string, string[], string?][] = [
    ['OpenSSH', ['-t', 'ed25519']],
    ['encrypted OpenSSH', ['-t', 'ed25519', '-N', PASSPHRASE], PASSPHRASE],
    ['PEM', ['-t', 'rsa', '-b', '2048', '-m', 'PEM']],
    ['encrypted PEM', ['-t', 'rsa', '-b', '2048', '-m', 'PEM', '-N', PASSPHRASE], PASSPHRASE],
    ['PKCS#8', ['-t', 'ecdsa', '-m', 'PKCS8']],
    ['encrypted PKCS#8', ['-t', 'rsa', '-b', '2048', '-m', 'PKCS8', '-N', PASSPHRASE], PASSPHRASE],
  ]
  const ways: [string, (pem: string) => string | Buffer][] = [
    ['as it is', (pem) => pem],
    ['with CR-LF', (pem) => pem.replaceAll('\n', '\r\n')],
    ['with old Mac line ends', (pem) => pem.replaceAll('\n', '\r')],
    ['on one line', (pem) => pem.trim().replaceAll('\n', ' ')],
    ['on one line without any spaces in the key', (pem) => pem.trim().replaceAll(/\n(?=[\w+/=]{20,}\n|-----END)/g, '')],
    ['with \\n in it', (pem) => pem.replaceAll('\n', '\\n')],
    ['with \\r\\n in it', (pem) => pem.replaceAll('\n', '\\r\\n')],
    ['with \\\\n in it, escaped twice', (pem) => pem.replaceAll('\n', '\\\\n')],
    ['as a JSON text', (pem) => JSON.stringify(pem)],
    ['in single quotes', (pem) => `'${pem}'\n`],
    ['indented, with trailing spaces', (pem) => pem.replaceAll(/^/gm, '    ').replaceAll('\n', '  \n')],
    ['without its last line end', (pem) => pem.trimEnd()],
    ['with a byte-order mark', (pem) => `\ufeff${pem}`],
    ['as UTF-16, of PowerShell', (pem) => Buffer.from(`\ufeff${pem.replaceAll('\n', '\r\n')}`, 'utf16le')],
    ['with text around it', (pem) => `Bag Attributes\n    friendlyName: x\n${pem}\n# end\n`],
    ['in another base64', (pem) => Buffer.from(pem).toString('base64')],
  ]
  test.each(kinds)('%s, in every way that can only mean one thing', async (name, options, passphrase) => {
    const pem = readFileSync(makeKey(`mend ${name}`.replaceAll(/\W/g, '-'), ...options), 'utf8')
    const taken: Record<string, boolean> = {}
    for (const [way, change] of ways) taken[way] = (await logIn(change(pem), passphrase)).ok
    expect(taken).toEqual(Object.fromEntries(ways.map(([way]) => [way, true])))
  })
})

describe('what cannot be used is reported with its cause:', () => {
  const ed25519 = () => readFileSync(sshd.keys.ed25519, 'utf8')
  const encrypted = () => readFileSync(sshd.keys.encrypted.file, 'utf8')
  const publicLine = () => readFileSync(`${sshd.keys.ed25519}.pub`, 'utf8')
  const made = (name: string, ...options: string[]) => readFileSync(makeKey(name, ...options), 'utf8')
  const converted = (file: string, ...options: string[]) => execFileSync('ssh-keygen', ['-e', '-f', file, ...options])
  /** The key with the public half of another inside, in the clear part only, or in both. */
  const mixed = (isOuterOnly: boolean) => {
    const [own, other] = [ed25519(), made(`other-half-${isOuterOnly}`, '-t', 'ed25519')].map((pem) =>
      Buffer.from(pem.replaceAll(/-----[^-]*-----/g, ''), 'base64'),
    )
    if (own === undefined || other === undefined) throw new Error('not both keys were made')
    const half = (key: Buffer) => key.subarray(key.indexOf('ssh-ed25519') + 15, key.indexOf('ssh-ed25519') + 47)
    const [from, to] = [Buffer.from(half(own)), Buffer.from(half(other))]
    for (let at = own.indexOf(from); at !== -1; at = own.indexOf(from)) {
      to.copy(own, at)
      if (isOuterOnly) break
    }
    return `-----BEGIN OPENSSH PRIVATE KEY-----\n${own.toString('base64')}\n-----END OPENSSH PRIVATE KEY-----\n`
  }
  test.each<[string, () => string | Buffer, RegExp, string?]>([
    ['an empty file', () => '\n', /the file is empty/],
    [
      'an encrypted key without its passphrase',
      encrypted,
      /is encrypted, and no passphrase is given: name passphrase_file/,
    ],
    ['an encrypted key with a wrong one', encrypted, /the passphrase does not open it/, 'wrong'],
    ['a public key', publicLine, /this is a public key; name the private one/],
    ['a public key of ssh.com', () => converted(sshd.keys.ed25519), /this is a public key/],
    [
      'a public key in PEM',
      () => converted(sshd.keys.rsaPkcs8, '-m', 'PKCS8'),
      /this is a public key; name the private key/,
    ],
    [
      'a private key of ssh.com',
      () => '---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nabc\n',
      /ssh-keygen -i -f \/keys\/id/,
    ],
    [
      'an X.509 certificate',
      () => '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n',
      /X\.509 certificate/,
    ],
    ['a PGP key', () => '-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nabc\n', /PGP key/],
    ['a key without its end', () => ed25519().slice(0, 200), /without its end; copy the whole file/],
    [
      'a key with a damaged first line',
      () => ed25519().replace('-----BEGIN', '—BEGIN'),
      /first or last line is damaged/,
    ],
    ['a key with a letter that no key has', () => ed25519().replace(/[a-z]{3}/, 'ä§'), /damaged/],
    ['a key that lost some of it', () => ed25519().replace(/\n[\w+/]{30}/, '\n'), /content is damaged/],
    ['two keys in one file', () => ed25519() + encrypted(), /several private keys/],
    ['a DSA key', () => '-----BEGIN DSA PRIVATE KEY-----\nMIIB\n-----END DSA PRIVATE KEY-----\n', /DSA key/],
    ['an X25519 key', () => X25519, /keys of type x25519 are not supported/],
    ['a public half that belongs to another key', () => mixed(false), /public half belongs to another key/],
    ['a public half outside that belongs to another key', () => mixed(true), /public half belongs to another key/],
    ['a text that is no key', () => 'hunter2', /no private key in a format of OpenSSH/],
  ])('%s', async (_title, content, detail, passphrase) => {
    const pem = content()
    const result = await logIn(pem, passphrase)
    expect(result).toMatchObject({ ok: false, reason: 'auth_failed', isHostsFault: false })
    expect(result).toMatchObject({ detail: expect.stringMatching(/key \/keys\/id: /) })
    expect(result).toMatchObject({ detail: expect.stringMatching(detail) })
    expect(leaks(pem.toString(), JSON.stringify(result))).toBe(false)
  })

  test('a certificate', async () => {
    const file = makeKey('certified', '-t', 'ed25519')
    execFileSync('ssh-keygen', ['-q', '-s', sshd.keys.ed25519, '-I', 'x', '-n', sshd.user, `${file}.pub`])
    const detail = expect.stringMatching(/this is a certificate.*name the private key/)
    expect(await logIn(readFileSync(`${file}-cert.pub`))).toMatchObject({ reason: 'auth_failed', detail })
  })

  test('a .pub file beside the key that belongs to another key, which may be the one that was enrolled', async () => {
    const file = join(dir, 'stranger')
    execFileSync('ssh-keygen', ['-q', '-N', '', '-t', 'ed25519', '-f', file])
    const publicHalf = readFileSync(`${sshd.keys.ed25519}.pub`)
    const key = { ...keyFile(file), publicHalf }
    const result = await dial(sshdHost({ credentials: [key] }))
    const print = (of: string) => execFileSync('ssh-keygen', ['-lf', of]).toString().split(' ')[1] ?? ''
    expect(result).toMatchObject({ reason: 'auth_failed', isHostsFault: true })
    const told = `refused; ${file}.pub is another key (${print(sshd.keys.ed25519)}) than this one (${print(file)})`
    expect(result).toMatchObject({ detail: expect.stringContaining(told) })
  })
})

describe.skipIf(findProgram('puttygen') === undefined)('a key of puttygen', () => {
  /** A PuTTY key of this type and format. */
  const makePpk = (name: string, type: string[], format: '2' | '3', passphrase = '') => {
    const [file, secret] = [join(dir, `${name}.ppk`), join(dir, 'secret')]
    writeFileSync(secret, passphrase)
    const settings = ['--ppk-param', `version=${format}`, '--new-passphrase', secret, '-C', name]
    execFileSync('puttygen', ['-q', '-t', ...type, ...settings, '-o', file])
    appendFileSync(sshd.authorizedKeysFile, execFileSync('puttygen', [file, '-L', '--old-passphrase', secret]))
    return file
  }

  test.each([
    ['plain', undefined],
    ['encrypted', PASSPHRASE],
  ])('of format 2 for RSA is read: %s', async (name, passphrase) => {
    const file = makePpk(`rsa2-${name}`, ['rsa', '-b', '2048'], '2', passphrase)
    expect(await logIn(readFileSync(file), passphrase)).toMatchObject({ ok: true })
    expect(await logIn(readFileSync(file, 'utf8').replaceAll(/\r?\n/g, '\r\n'), passphrase)).toMatchObject({ ok: true })
  })

  test.each<[string, string[], '2' | '3', string?]>([
    ['ed25519', ['ed25519'], '2'],
    ['ed25519', ['ed25519'], '3'],
    ['ecdsa', ['ecdsa', '-b', '256'], '3'],
    ['rsa', ['rsa', '-b', '2048'], '3'],
    ['encrypted ed25519', ['ed25519'], '3', PASSPHRASE],
    ['encrypted rsa', ['rsa', '-b', '2048'], '3', PASSPHRASE],
  ])(
    '%s of format %#3 is reported with the line that converts it, and that line does',
    async (name, type, format, passphrase) => {
      const file = makePpk(`${name.replace(' ', '-')}-${format}`, type, format, passphrase)
      const result = await logIn(readFileSync(file), passphrase, file)
      const [, line = ''] =
        /convert it: (.*), and name the new file/.exec('detail' in result ? result.detail : '') ?? []
      expect(line).toBe(`puttygen ${file} -O private-openssh-new -o ${file.slice(0, -4)}`)
      const secret = join(dir, 'same-secret')
      writeFileSync(secret, passphrase ?? '')
      execFileSync('sh', ['-c', `${line} --old-passphrase ${secret}`])
      chmodSync(file.slice(0, -4), 0o600)
      await reach(sshdHost({ credentials: [keyFile(file.slice(0, -4), passphrase)] }))
    },
  )
})

const X25519 = [
  '-----BEGIN PRIVATE KEY-----',
  'MC4CAQAwBQYDK2VuBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABA',
  '-----END PRIVATE KEY-----',
].join('\n')
