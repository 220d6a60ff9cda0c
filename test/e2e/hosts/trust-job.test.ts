/** `muster trust` beside a stack that runs: what it adds counts for the next job, without a restart. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, inject, onTestFinished, test } from 'vitest'
import { muster } from '../../support/cli/muster-process.ts'
import { startStack } from '../../support/stack/stack.ts'

/** `web1` is listed by an alias, `web2` by its address, and `far` is behind it. */
function inventory(): string {
  const { port, user, keys } = inject('sshd')
  return [
    `defaults: { user: ${user}, port: ${port}, identity_file: ${keys.ed25519} }`,
    'hosts:',
    '  web1: { address: 127.0.1.1, host_key_alias: Web-One }',
    '  web2: { address: 127.0.1.2 }',
    '  far: { address: 127.0.1.3, jump: web2 }',
    '',
  ].join('\n')
}

test('a refused host names the command, and after that its jobs run, without a restart', async () => {
  const stack = await startStack({ inventory: inventory(), knownHosts: '' })
  const file = join(stack.dataDir, 'known_hosts')
  const run = () => muster(stack.env, 'run', 'web1,web2', '--', 'echo ran')
  const refused = await run()
  expect(refused.status).toBe(4)
  expect(refused.out.toString()).toMatch(/host_key_unknown[\s\S]*muster trust web1/)

  const trusted = await muster(stack.env, 'trust', 'web1,web2,far', '--yes')
  expect(trusted.status, trusted.said).toBe(4)
  expect(trusted.out.toString().split('\n')).toEqual([
    `web1: 3 keys added to ${file}`,
    `web2: 3 keys added to ${file}`,
    expect.stringMatching(/^far: cannot be scanned: it is reached through web2.* run there: ssh-keyscan -p \d+ 127/),
    '',
  ])
  const { port } = inject('sshd')
  const names = (await readFile(file, 'utf8')).split('\n').map((line) => line.split(' ')[0])
  expect([...new Set(names)]).toEqual(['web-one', `[127.0.1.2]:${port}`, ''])
  const ran = await run()
  expect([ran.status, ran.out.toString()]).toEqual([0, expect.stringContaining('ran')])
  // Its key is the same for whoever logs in.
  const other = await muster(stack.env, 'trust', '-l', 'other', 'web2', '--yes')
  expect(other.out.toString(), other.said).toMatch(/^other@web2: already known/)
}, 120_000)

test('a host whose SSH config names a file of its own is listed there, where its worker looks', async () => {
  const { port, user, keys } = inject('sshd')
  const directory = await mkdtemp(join(tmpdir(), 'muster-trust-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const [config, own] = [join(directory, 'config'), join(directory, 'own_hosts')]
  const options = [`HostName 127.0.1.5`, `Port ${port}`, `User ${user}`, `IdentityFile ${keys.ed25519}`]
  await writeFile(config, ['Host own', ...options, `UserKnownHostsFile ${own}`, ''].join('\n'))
  const env = { MUSTER_SSH_CONFIG: config }
  const stack = await startStack({ inventory: inventory(), knownHosts: '', env })
  const { status, out, said } = await muster(stack.env, 'trust', 'own', '--yes')
  expect([status, out.toString()], said).toEqual([0, `own: 3 keys added to ${own}\n`])
  const ran = await muster(stack.env, 'run', 'own', '--', 'true')
  expect(ran.status, ran.out.toString()).toBe(0)
}, 120_000)

test('for the workers of a server elsewhere the lines are printed, and nothing here is written', async () => {
  const stack = await startStack({ inventory: inventory(), knownHosts: '' })
  const home = join(stack.dataDir, 'person')
  await mkdir(home)
  const env = { PATH: process.env.PATH, HOME: home, MUSTER_URL: stack.url, MUSTER_API_KEY: stack.apiKey }
  const { status, out, said } = await muster(env, 'trust', 'web1')
  expect([status, said]).toEqual([
    0,
    expect.stringContaining(`The workers of ${stack.url} have known_hosts of their own`),
  ])
  expect(out.toString()).toMatch(/^(web-one [a-z0-9-]+ [A-Za-z0-9+/=]+\n){3}$/)
  await expect(readFile(join(home, '.ssh/known_hosts'))).rejects.toThrow('ENOENT')
  // What was printed is what the workers need.
  await writeFile(join(stack.dataDir, 'known_hosts'), out)
  expect((await muster(env, 'run', 'web1', '--', 'true')).status).toBe(0)
}, 120_000)
