/**
 * Someone else's inventory: it names files of the worker's user as passwords for its own hosts. Nothing is sent to
 * them; each run says which reference was refused and what would allow it. Behind all of them is a real sshd.
 */
import { execFileSync } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { OPERATIONS } from '@muster/contract'
import { expect, inject, onTestFinished, test } from 'vitest'
import { startRelay } from '../../support/ssh/relay.ts'
import { type Stack, startStack } from '../../support/stack/stack.ts'

const CONTENT = 'hunter2-of-another-service'

/** Each host by what its entry names; `HOME` and `PROJECT` stand for the directories. */
const REFERENCES = {
  aws: ['password_file: ~/.aws/credentials', 'HOME/.aws/credentials'],
  netrc: ['password_file: ~/.netrc', 'HOME/.netrc'],
  absent: ['password_file: ~/.is-not-there', 'HOME/.is-not-there'],
  shadow: ['password_file: /etc/shadow', '/etc/shadow'],
  environ: ['password_file: /proc/self/environ', '/proc/self/environ'],
  above: ['password_file: ../HOMENAME/.netrc', 'HOME/.netrc'],
  link: ['password_file: notes', 'PROJECT/notes'],
  dirlink: ['password_file: docs/credentials', 'PROJECT/docs/credentials'],
  key: ['identity_file: ~/.netrc', 'HOME/.netrc'],
  keyaspassword: ['password_file: ~/.ssh/id_ed25519', 'HOME/.ssh/id_ed25519'],
  passphrase: ['identity_file: ~/.ssh/id_ed25519, passphrase_file: ~/.netrc', 'HOME/.netrc'],
  besideskey: ['identity_file: ~/.ssh/id_ed25519, password_file: ~/.netrc', 'HOME/.netrc'],
} as const

async function startForeign(): Promise<{
  stack: Stack
  home: string
  relay: Awaited<ReturnType<typeof startRelay>>
  log: string
}> {
  const { port, user, keys, hostKeys } = inject('sshd')
  const home = await mkdtemp(join(tmpdir(), 'muster-home-'))
  onTestFinished(() => rm(home, { recursive: true, force: true }))
  await Promise.all(['.aws', '.ssh'].map((name) => mkdir(join(home, name))))
  for (const name of ['.aws/credentials', '.netrc']) await writeFile(join(home, name), CONTENT, { mode: 0o600 })
  await writeFile(join(home, '.ssh/id_ed25519'), await readFile(keys.ed25519), { mode: 0o600 })
  const relay = await startRelay(port)
  const entries = Object.entries(REFERENCES).map(([name, [fields]], i) => {
    return `  ${name}: { address: 127.0.1.${i + 1}, ${fields.replace('HOMENAME', basename(home))} }\n`
  })
  const inventory = [
    `defaults: { user: ${user}, port: ${relay.port} }\nhosts:\n`,
    ...entries,
    `  well: { address: 127.0.2.1, identity_file: ~/.ssh/id_ed25519, sudo_password_file: ~/.netrc }\n`,
    `  behind: { address: 127.0.2.2, identity_file: ~/.ssh/id_ed25519, jump: netrc }\n`,
  ].join('')
  const knownHosts = `[127.0.*]:${relay.port} ssh-ed25519 ${hostKeys['ssh-ed25519']}\n`
  const log = join(home, 'log')
  const env = { HOME: home, MUSTER_SECRET_DIRS: '', MUSTER_LOG_FILE: log, LOG_LEVEL: 'trace' }
  const stack = await startStack({ inventory, knownHosts, env, workers: 0 })
  await symlink(join(home, '.netrc'), join(stack.dataDir, 'notes'))
  await symlink(join(home, '.aws'), join(stack.dataDir, 'docs'))
  return { stack, home, relay, log }
}

async function runOf(stack: Stack, jobId: string, host: string) {
  return OPERATIONS.get_run.output.parse((await stack.ask('GET', `/v1/jobs/${jobId}/runs/${host}`)).body)
}

test('a file elsewhere that an inventory names as a secret is sent nowhere; the run says what allows it', async () => {
  const { stack, home, relay, log } = await startForeign()
  await stack.startWorker()
  const { job_id: jobId } = await stack.submit({ targets: '@*!well', command: 'true', retries: 0 })
  const job = await stack.ended(jobId)
  expect(job).toMatchObject({ state: 'failed', counts: { unreachable: Object.keys(REFERENCES).length + 1 } })
  expect(relay.count(), 'nobody was even called').toBe(0)
  for (const [host, [, file]] of [...Object.entries(REFERENCES), ['behind', REFERENCES.netrc] as const]) {
    const run = await runOf(stack, jobId, host)
    expect(run).toMatchObject({
      state: 'unreachable',
      reason: 'auth_failed',
      remote: 'not_started',
      safe_to_retry: true,
    })
    const path = file.replace('HOME', home).replace('PROJECT', stack.dataDir)
    expect(run.detail).toContain(`file ${path} is not used: it`)
    expect(run.detail).toMatch(
      /outside the directories for it; move it into one of \S.*, or name its directory in MUSTER/,
    )
    expect(run.detail).toContain(stack.dataDir)
  }
  // The log tells the same when the worker starts, and neither shows what is in the files.
  const told = await readFile(log, 'utf8')
  expect(told).toContain(`the secret file ${home}/.aws/credentials is not used`)
  expect([told, JSON.stringify(job)].join()).not.toContain(CONTENT)

  // A password for sudo is no other matter; without sudo the same host is reached.
  const withSudo = await stack.submit({ targets: 'well', command: 'true', sudo: true })
  expect(await stack.ended(withSudo.job_id)).toMatchObject({ state: 'failed' })
  expect(await runOf(stack, withSudo.job_id, 'well')).toMatchObject({
    state: 'failed',
    reason: 'sudo_password_required',
    remote: 'not_started',
    detail: expect.stringContaining(`the secret file ${home}/.netrc is not used: it lies outside`),
  })
  expect(relay.count()).toBe(0)
  const without = await stack.submit({ targets: 'well', command: 'true' })
  expect(await stack.ended(without.job_id)).toMatchObject({ state: 'succeeded' })
  expect(relay.count()).toBe(1)
}, 60_000)

test.skipIf(inject('sshd').password === null)(
  'MUSTER_SECRET_DIRS allows a directory, for workers of root and of another user alike',
  async () => {
    const { port, user, password, knownHosts } = inject('sshd')
    const directory = await mkdtemp(join(tmpdir(), 'muster-mount-'))
    onTestFinished(() => rm(directory, { recursive: true, force: true }))
    // As Kubernetes mounts a secret for a group.
    await mkdir(join(directory, '..2026_01'))
    await writeFile(join(directory, '..2026_01/db01'), `${password}\n`, { mode: 0o444 })
    await symlink('..2026_01', join(directory, '..data'))
    await symlink('..data/db01', join(directory, 'db01'))
    const host = `{ address: 127.0.1.1, port: ${port}, user: ${user}, password_file: ${directory}/db01 }`
    const inventory = `hosts:\n  db01: ${host}\n`
    for (const workerBy of [[], ['setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups']]) {
      const stack = await startStack({ inventory, knownHosts, workers: 0, workerBy })
      for (const each of [stack.dataDir, directory]) await chmod(each, 0o755)
      if (workerBy.length > 0) execFileSync('chown', [user, join(stack.dataDir, 'worker-keys.json')])
      const stateWith = async (directories: string) => {
        const worker = await stack.startWorker({ MUSTER_SECRET_DIRS: directories })
        const { job_id: jobId } = await stack.submit({ targets: 'db01', command: 'true', retries: 0 })
        const { state } = await stack.ended(jobId)
        await worker.stop()
        return state
      }
      expect(await stateWith('')).toBe('failed')
      expect(await stateWith(`/nowhere:${directory}:`)).toBe('succeeded')
    }
  },
  120_000,
)
