/** An authority for certificates of users, and a daemon that trusts it; both by OpenSSH's own programs. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { type Sshd, startSshd } from './sshd.ts'

/** An authority. */
export type Authority = {
  /** The file of its private key. */
  readonly file: string
  readonly directory: string
  /** Makes a key that no host knows; answers its file. */
  makeKey(name: string, ...options: string[]): string
  /** Certifies a key: the file of the certificate, beside it. */
  certify(file: string, ...options: string[]): string
}

/** Makes an authority; everything of it is gone at the end of the test. */
export function makeAuthority(...options: string[]): Authority {
  const directory = mkdtempSync(join(tmpdir(), 'muster-authority-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  const makeKey = (name: string, ...own: string[]) => {
    const file = join(directory, name)
    const type = own.length === 0 ? ['-t', 'ed25519'] : own
    execFileSync('ssh-keygen', ['-q', '-N', '', '-C', name, '-f', file, ...type])
    return file
  }
  const file = makeKey('authority', ...options)
  const certify = (key: string, ...own: string[]) => {
    execFileSync('ssh-keygen', ['-q', '-s', file, ...own, `${key}.pub`], { stdio: 'pipe' })
    return `${key}-cert.pub`
  }
  return { file, directory, makeKey, certify }
}

/** A daemon that takes the certificates of this authority, and logs each log-in. */
export async function startTrustingSshd({ file }: Authority, ...settings: string[]): Promise<Sshd> {
  const own = await startSshd([`TrustedUserCAKeys ${file}.pub`, 'LogLevel INFO', ...settings])
  onTestFinished(() => own.close())
  return own
}

/** The fingerprint of a public key, as ssh-keygen prints it. */
export function printOf(file: string): string {
  return execFileSync('ssh-keygen', ['-lf', file], { encoding: 'utf8' }).split(' ')[1] ?? ''
}

/** A key file with the certificate beside it, as a credential. */
export function certifiedFile(source: string, certificate = `${source}-cert.pub`) {
  return { kind: 'key', pem: readFileSync(source), source, certificate: readFileSync(certificate) } as const
}
