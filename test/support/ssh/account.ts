/**
 * Accounts of the machine, each with a login shell and start-up files of its own, made for a test file and gone at its
 * end. They log in to the test daemon with its ordinary key. Only root can make them.
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { appendFile, chown, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

/** An account. `close` ends its processes and removes it with its home directory. */
export type Account = { readonly user: string; readonly home: string; close(): Promise<void> }

/** Whether accounts can be made here; a test that cannot make one is skipped. */
export const CAN_MAKE_ACCOUNTS = process.getuid?.() === 0

const SHELLS = '/etc/shells'
const run = promisify(execFile)

/**
 * Makes an account.
 * @param shell the path of its login shell; dropbear refuses accounts whose shell is not listed, so it is listed
 * @param files start-up files by their name in the home directory
 */
export async function makeAccount(shell: string, files: Readonly<Record<string, string>> = {}): Promise<Account> {
  const user = `muster-${randomBytes(4).toString('hex')}`
  // A password that nothing matches, as sshd lets nobody into an account that is locked.
  const settings = ['--shell', shell, '--skel', '/nonexistent', '--password', '*']
  await run('useradd', ['--create-home', '--home-dir', `/home/${user}`, ...settings, user])
  const home = `/home/${user}`
  const close = async () => {
    await run('pkill', ['-KILL', '-u', user]).catch(() => {}) // Nothing of it runs.
    await run('userdel', ['--force', '--remove', user]).catch(() => {})
  }
  try {
    const listed = await readFile(SHELLS, 'utf8').catch(() => '')
    if (!listed.split('\n').includes(shell)) await appendFile(SHELLS, `${shell}\n`)
    for (const [name, text] of Object.entries(files)) await writeAccountFile({ home }, name, text)
  } catch (error) {
    await close()
    throw error
  }
  return { user, home, close }
}

/** Writes a file of the account, which owns it; its directory is made where it is missing. */
export async function writeAccountFile({ home }: Pick<Account, 'home'>, name: string, text: string): Promise<void> {
  const { uid, gid } = await stat(home)
  const file = join(home, name)
  const first = await mkdir(dirname(file), { recursive: true })
  await writeFile(file, text)
  if (first !== undefined) await run('chown', ['-R', `${uid}:${gid}`, first])
  await chown(file, uid, gid)
}
