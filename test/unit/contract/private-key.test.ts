/** Whether a text is a private key, and whether it wants a passphrase, told without one. */
import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isEncryptedKey, isPrivateKey } from '@muster/contract'
import { expect, onTestFinished, test } from 'vitest'

function openSsh(passphrase: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'muster-key-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const file = join(directory, 'key')
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-a', '1', '-N', passphrase, '-f', file])
  return readFileSync(file, 'utf8')
}

function pem(type: 'pkcs1' | 'pkcs8', passphrase?: string): string {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 })
  const cipher = passphrase === undefined ? {} : { cipher: 'aes-256-cbc', passphrase }
  return privateKey.export({ type, format: 'pem', ...cipher }).toString()
}

const putty = (encryption: string) => `PuTTY-User-Key-File-2: ssh-rsa\r\nEncryption: ${encryption}\r\nComment: x\r\n`

test('a private key of any format is one, and what is encrypted is known to be', () => {
  const plain = [openSsh(''), pem('pkcs1'), pem('pkcs8'), putty('none')]
  const encrypted = [openSsh('phrase'), pem('pkcs1', 'phrase'), pem('pkcs8', 'phrase'), putty('aes256-cbc')]
  for (const text of [...plain, ...encrypted]) expect([text, isPrivateKey(text)]).toEqual([text, true])
  expect(plain.map(isEncryptedKey)).toEqual([false, false, false, false])
  expect(encrypted.map(isEncryptedKey)).toEqual([true, true, true, true])
})

test('a public key, a certificate, a key without its end and a password are no private key', () => {
  const cut = pem('pkcs8').replace(/-----END.*/s, '')
  const others = [
    'ssh-ed25519 AAAAC3Nza me@here',
    '-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----',
    cut,
    'hunter2',
    '',
  ]
  expect(others.map(isPrivateKey)).toEqual([false, false, false, false, false])
  expect(others.map(isEncryptedKey)).toEqual([false, false, false, false, false])
})
