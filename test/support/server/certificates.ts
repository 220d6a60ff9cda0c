/** Certificates for a test, made with OpenSSL: an authority of the test's own, and what it signs. */
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { temporaryDataDir } from './server.ts'

const run = promisify(execFile)
const KEY_FORM = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

/** A pair as texts, and the files that hold it, the key readable by its owner alone. */
export type Made = {
  readonly cert: string
  readonly key: string
  readonly certFile: string
  readonly keyFile: string
}

/** Makes an authority in a directory of its own. */
export async function makeAuthority() {
  const dir = await temporaryDataDir()
  const at = (name: string) => join(dir, name)
  const openssl = (...args: string[]) => run('openssl', args, { cwd: dir, env: { HOME: dir, PATH: process.env.PATH } })
  await openssl(
    'req',
    '-x509',
    ...KEY_FORM,
    '-keyout',
    'ca.key',
    '-out',
    'ca.pem',
    '-days',
    '2',
    '-subj',
    '/CN=Test CA',
  )
  let count = 0
  /** A certificate for these names, such as `DNS:localhost` and `IP:127.0.0.1`, for so many days from now. */
  const make = async (names: readonly string[], { days = 1, keyForm = KEY_FORM } = {}): Promise<Made> => {
    count += 1
    const name = `pair${count}`
    await openssl('req', '-new', ...keyForm, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`)
    await writeFile(at(`${name}.ext`), `subjectAltName=${names.join(',')}\n`)
    const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', String(days)]
    await openssl('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.pem`, '-extfile', `${name}.ext`, ...signed)
    const files = { certFile: at(`${name}.pem`), keyFile: at(`${name}.key`) }
    return { ...files, cert: await readFile(files.certFile, 'utf8'), key: await readFile(files.keyFile, 'utf8') }
  }
  return { dir, caFile: at('ca.pem'), ca: await readFile(at('ca.pem'), 'utf8'), make, openssl }
}
