/**
 * Accounts of the machine that may use sudo in one way or another, each made for one test file and gone at its end.
 * They log in to the test daemon with its ordinary key. Only root can make them.
 */
import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** An account. `close` removes it and its rule. */
export type Sudoer = { readonly user: string; readonly password: string; close(): Promise<void> }

const RULES = '/etc/sudoers.d'
const run = promisify(execFile)

/** Whether accounts and rules can be made here; a test that cannot says so and is skipped. */
export const CAN_MAKE_SUDOERS = process.getuid?.() === 0

/**
 * Makes an account. `rule` is the text of its file in sudoers.d, with the name given: checked by visudo before sudo
 * sees it, because a broken file would lock everybody out.
 */
export async function makeSudoer(rule: (user: string) => string, shell = '/bin/sh'): Promise<Sudoer> {
  await needSudo()
  const user = `muster-${randomBytes(4).toString('hex')}`
  const password = randomBytes(12).toString('base64url')
  const close = async () => {
    await rm(join(RULES, user), { force: true })
    // By force: a session of the account may be about to end.
    await run('userdel', ['--force', '--remove', user]).catch(() => {})
  }
  try {
    await run('useradd', ['--create-home', '--shell', shell, user])
    const chpasswd = spawn('chpasswd', { stdio: ['pipe', 'ignore', 'inherit'] })
    chpasswd.stdin.end(`${user}:${password}\n`)
    await once(chpasswd, 'exit')
    const directory = await mkdtemp(join(tmpdir(), 'muster-sudoers-'))
    const draft = join(directory, user)
    await writeFile(draft, `${rule(user)}\n`)
    await chmod(draft, 0o440)
    await run('visudo', ['-c', '-f', draft])
    // In one step, as another test may be using sudo right now; and names with a dot are not read at all.
    await run('cp', ['-p', draft, join(RULES, `.${user}`)])
    await rename(join(RULES, `.${user}`), join(RULES, user))
    await rm(directory, { recursive: true })
  } catch (error) {
    await close()
    throw error
  }
  return { user, password, close }
}

/** Installs sudo where it is missing. */
async function needSudo(): Promise<void> {
  const isThere = await run('sudo', ['-V']).then(
    () => true,
    () => false,
  )
  if (isThere) return
  process.stderr.write('The tests need sudo: installing it with apt-get\n')
  const apt = ['DEBIAN_FRONTEND=noninteractive', 'apt-get', '-y']
  try {
    await run('env', [...apt, 'update'])
    await run('env', [...apt, 'install', '--no-install-recommends', 'sudo'])
  } catch (cause) {
    throw new Error('the tests need sudo, which is missing and cannot be installed unattended', { cause })
  }
}
