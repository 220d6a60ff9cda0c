import { spawnSync } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { knownHostsName, MusterError, parseKnownHosts } from '@muster/contract'
import { loadKnownHosts } from '@muster/ssh'
import { afterAll, describe, expect, test } from 'vitest'

const dir = mkdtempSync(join(tmpdir(), 'muster-known-hosts-'))
afterAll(() => rmSync(dir, { recursive: true }))

/** Real keys: ssh-keygen passes over lines with any other. */
const [A, B] = ['AAAAC3NzaC1lZDI1NTE5AAAAIGPr', 'AAAAC3NzaC1lZDI1NTE5AAAAIHPr'].map((start) => start.padEnd(68, 'A'))
const KEY_A = `ssh-ed25519 ${A}`
const KEY_B = `ssh-ed25519 ${B}`
const bytesOf = (key: string) => Buffer.from(key.split(' ')[1] ?? '', 'base64')

function hashed(name: string): string {
  const salt = Buffer.from('0123456789abcdefghij')
  return `|1|${salt.toString('base64')}|${createHmac('sha1', salt).update(name).digest('base64')}`
}

describe('a key that a host shows is', () => {
  test.each([
    ['known when it is listed', `web1 ${KEY_A}`, 'web1', 'known'],
    ['known under any name of the line', `web0,web1,10.0.0.1 ${KEY_A} a comment`, '10.0.0.1', 'known'],
    ['known when one of several keys is the same', `web1 ${KEY_B}\nweb1 ${KEY_A}`, 'web1', 'known'],
    ['known under a pattern', `*.example.org ${KEY_A}`, 'a.example.org', 'known'],
    ['known under a pattern with ?', `web? ${KEY_A}`, 'web1', 'known'],
    ['unknown when the pattern is negated', `*.example.org,!a.example.org ${KEY_A}`, 'a.example.org', 'unknown'],
    ['unknown when only a negation matches', `!web1 ${KEY_A}`, 'web1', 'unknown'],
    ['unknown when a dot of the pattern is another letter', `web.1 ${KEY_A}`, 'webx1', 'unknown'],
    ['known whatever the case of the line', `WEB1 ${KEY_A}`, 'web1', 'known'],
    ['known with its port', `[web1]:2222 ${KEY_A}`, '[web1]:2222', 'known'],
    ['unknown under another port', `[web1]:2222 ${KEY_A}`, '[web1]:2223', 'unknown'],
    ['known under a hashed name', `${hashed('web1')} ${KEY_A}`, 'web1', 'known'],
    ['known under a hashed name with port', `${hashed('[web1]:2222')} ${KEY_A}`, '[web1]:2222', 'known'],
    ['unknown under the hash of another name', `${hashed('web2')} ${KEY_A}`, 'web1', 'unknown'],
    ['changed when another key is listed', `web1 ${KEY_B}`, 'web1', 'changed'],
    ['revoked whatever else is said', `web1 ${KEY_A}\n@revoked * ${KEY_A}`, 'web1', 'revoked'],
    ['not revoked by the revocation of another', `web1 ${KEY_A}\n@revoked * ${KEY_B}`, 'web1', 'known'],
    ['unprovable with an authority alone', `@cert-authority * ${KEY_B}`, 'web1', 'certificate_only'],
    ['not known as the key of an authority', `@cert-authority * ${KEY_A}`, 'web1', 'certificate_only'],
    ['unknown under an unknown marker', `@trusted web1 ${KEY_A}`, 'web1', 'unknown'],
    ['unknown in a comment', `#web1 ${KEY_A}\n# web1 ${KEY_A}`, 'web1', 'unknown'],
    ['unknown in a line without a key', 'web1 ssh-ed25519\nweb1\n\n|1|x ssh-ed25519', 'web1', 'unknown'],
    ['known in a file with CRLF and tabs', `web0 ${KEY_B}\r\n\tweb1\t${KEY_A}\r\n`, 'web1', 'known'],
    ['unknown in an empty file', '', 'web1', 'unknown'],
  ])('%s', (_title, text, name, wanted) => {
    expect(parseKnownHosts(text).check(name, bytesOf(KEY_A))).toBe(wanted)
  })
})

test('names have their port, but for port 22', () => {
  expect(knownHostsName('Web1.Example', 22)).toBe('web1.example')
  expect(knownHostsName('FE80::1', 2222)).toBe('[fe80::1]:2222')
})

test('the types listed for a host are reported in order, without revoked keys and authorities', () => {
  const text = `web1 ssh-rsa AAAA\n@revoked web1 ecdsa-sha2-nistp256 AAAA\nweb1 ${KEY_A}\nweb1 ssh-rsa BBBB`
  expect(parseKnownHosts(text).knownTypes('web1')).toEqual(['ssh-rsa', 'ssh-ed25519'])
})

test('the same lines are found as by ssh-keygen -F', (context) => {
  const lines = [
    `web1,10.0.0.1 ${KEY_A}`,
    `[web1]:2222 ${KEY_A}`,
    `*.example.org,!bad.example.org ${KEY_A}`,
    `web[12] ${KEY_A}`,
    `n?de ${KEY_A}`,
    `${hashed('hashed1')} ${KEY_A}`,
    `${hashed('[hashed1]:2222')} ${KEY_A}`,
    `UPPER.example.net ${KEY_A}`,
    `fe80::1 ${KEY_A}`,
  ]
  const names = ['web1', 'web2', '10.0.0.1', '10.0.0.2', '[web1]:2222', '[web1]:22', 'a.example.org', 'a.b.example.org']
  const more = ['bad.example.org', 'example.org', 'node', 'nde', 'web[12]', 'hashed1', '[hashed1]:2222', 'hashed2']
  if (spawnSync('ssh-keygen', ['-?']).error !== undefined) context.skip('ssh-keygen is not installed')
  for (const [i, line] of lines.entries()) {
    const file = join(dir, `line-${i}`)
    writeFileSync(file, `${line}\n`)
    for (const name of [...names, ...more, 'upper.example.net', 'fe80::1']) {
      const isFound = spawnSync('ssh-keygen', ['-F', name, '-f', file]).status === 0
      expect([name, line, parseKnownHosts(line).check(name, bytesOf(KEY_A)) === 'known']).toEqual([name, line, isFound])
    }
  }
})

describe('known hosts from files', () => {
  test('are read again when a file has changed, and told by name', async () => {
    const file = join(dir, 'changing')
    const source = loadKnownHosts([file, join(dir, 'absent')])
    expect((await source.read()).files).toEqual([`${file} (does not exist)`, `${join(dir, 'absent')} (does not exist)`])
    writeFileSync(file, `web1 ${KEY_A}\n`)
    expect((await source.read()).check('web1', bytesOf(KEY_A))).toBe('known')
    writeFileSync(file, `web1 ${KEY_B}\n`)
    utimesSync(file, 1, 1)
    expect((await source.read()).check('web1', bytesOf(KEY_A))).toBe('changed')
    expect((await source.read()).files[0]).toBe(file)
  })

  test('of several files count together', async () => {
    const [one, two] = [join(dir, 'one'), join(dir, 'two')]
    writeFileSync(one, `web1 ${KEY_A}`)
    writeFileSync(two, `@revoked * ${KEY_A}`)
    expect((await loadKnownHosts([one]).read()).check('web1', bytesOf(KEY_A))).toBe('known')
    expect((await loadKnownHosts([one, two]).read()).check('web1', bytesOf(KEY_A))).toBe('revoked')
  })

  test('of a host alone stand in place of the user’s, and not of the others', async () => {
    const [one, two, three] = [join(dir, 'one'), join(dir, 'two'), join(dir, 'three')]
    for (const file of [one, two, three]) writeFileSync(file, `web1 ${KEY_A}`)
    const readText = (file: string) => readFile(file, 'utf8')
    const source = loadKnownHosts([one, two], { instead: one, readText })
    expect((await source.read()).files).toEqual([one, two])
    expect((await source.read([three])).files).toEqual([three, two])
    const distrust = async () => Promise.reject(new MusterError('invalid_config', 'it is not read: it is theirs'))
    const distrusted = loadKnownHosts([one], { instead: one, readText: distrust })
    expect((await distrusted.read([three])).files).toEqual(['it is not read: it is theirs'])
    expect((await distrusted.read()).check('web1', bytesOf(KEY_A))).toBe('known')
  })
})
