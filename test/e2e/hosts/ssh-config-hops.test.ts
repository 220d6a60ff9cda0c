/** Jobs on hosts of an SSH config, over real daemons: several hops, known hosts, algorithms, variables, time. */
import { once } from 'node:events'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { OPERATIONS } from '@muster/contract'
import { expect, onTestFinished, test } from 'vitest'
import { type SshdFacts, startSshd } from '../../support/ssh/sshd.ts'
import { startStack } from '../../support/stack/stack.ts'

async function ownSshd(): Promise<SshdFacts> {
  const own = await startSshd()
  onTestFinished(() => own.close())
  return own.facts
}

/** What is known of a daemon by one of its addresses. */
const knownAs = ({ knownHosts }: SshdFacts, address: string) => knownHosts.replaceAll('127.0.*', address)

async function sshConfig(text: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'muster-ssh-config-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  await writeFile(join(directory, 'config'), text)
  return join(directory, 'config')
}

test('a job goes over several hops, and each proves itself and is logged in to by itself', async () => {
  const [outer, inner, web] = [await ownSshd(), await ownSshd(), await ownSshd()]
  const config = await sshConfig(
    `Host web
       ProxyJump ${outer.user}@127.0.2.1:${outer.port},inner
     Host strange
       ProxyJump ${outer.user}@127.0.2.9:${outer.port},inner
     Host barred
       HostName 127.0.4.2
       ProxyJump 127.0.2.1,inner
     Host web strange
       IdentityFile ${web.keys.ed25519}
     Host web strange barred
       HostName 127.0.4.1
       Port ${web.port}
       ServerAliveInterval 5
     Host inner
       HostName 127.0.3.1
       Port ${inner.port}
       IdentityFile ${inner.keys.ed25519}
     Host 127.0.2.*
       Port ${outer.port}
       IdentityFile ${outer.keys.ed25519}
     Host barred
       IdentityFile ${outer.keys.ed25519}
       IdentityFile ${inner.keys.ed25519}
     Host *
       User ${outer.user}
       IdentitiesOnly yes`,
  )
  const knownHosts = [knownAs(outer, '127.0.2.1'), knownAs(inner, '127.0.3.1'), knownAs(web, '127.0.4.*')].join('')
  const stack = await startStack({ inventory: 'hosts: {}\n', knownHosts, env: { MUSTER_SSH_CONFIG: config } })
  const { job_id: jobId } = await stack.submit({ targets: 'web,strange,barred', command: 'echo $SSH_CONNECTION' })
  const { counts, problems } = await stack.ended(jobId)
  expect(counts).toMatchObject({ succeeded: 1, unreachable: 2 })
  const reasons = Object.fromEntries(problems?.map(({ hosts, reason, detail }) => [hosts, [reason, detail]]) ?? [])
  expect(reasons).toEqual({
    strange: ['jump_failed', expect.stringMatching(/^jump host inner: .*127\.0\.2\.9.*host_key_unknown/)],
    barred: ['auth_failed', expect.stringContaining(`key ${inner.keys.ed25519}: refused`)],
  })
  const run = OPERATIONS.get_run.output.parse((await stack.ask('GET', `/v1/jobs/${jobId}/runs/web`)).body)
  expect(run.reached).toMatchObject({ address: '127.0.4.1', port: web.port, jump: 'inner' })
  const { body } = await stack.ask('GET', '/v1/hosts?targets=web')
  expect(OPERATIONS.list_hosts.output.parse(body).hosts).toMatchObject([
    {
      jump: `${outer.user}@127.0.2.1:${outer.port},inner`,
      not_taken: [{ option: 'ServerAliveInterval', file: config, line: 13, why: 'Muster has a way of its own' }],
    },
  ])
}, 120_000)

test('a job uses the known hosts, algorithms, variables and time of the config', async () => {
  const settings = [
    'AcceptEnv COLOUR',
    'KexAlgorithms ecdh-sha2-nistp384,curve25519-sha256',
    'HostKeyAlgorithms ssh-rsa',
  ]
  const own = await startSshd(settings)
  onTestFinished(() => own.close())
  const { port, user, keys, knownHosts } = own.facts
  const held = new Set<Socket>()
  const silent = createServer((socket) => void held.add(socket.on('error', () => {}))).listen(0, '127.0.5.1')
  onTestFinished(() => {
    silent.close()
    for (const socket of held) socket.destroy()
  })
  await once(silent, 'listening')
  const address = silent.address()
  const silentPort = address !== null && typeof address === 'object' ? address.port : 0
  const config = await sshConfig(
    `Host good
       HostName 127.0.1.1
       SetEnv COLOUR=red OTHER=blue
     Host unknown
       HostName 127.0.1.2
       UserKnownHostsFile /dev/null
     Host open
       HostName 127.0.1.3
       UserKnownHostsFile open
     Host modern
       HostName 127.0.1.4
       HostKeyAlgorithms ssh-ed25519
     Host silent
       HostName 127.0.5.1
       Port ${silentPort}
       ConnectTimeout 1
     Host *
       User ${user}
       Port ${port}
       IdentityFile ${keys.ed25519}
       UserKnownHostsFile known_hosts
       HostKeyAlgorithms +ssh-rsa
       KexAlgorithms ecdh-sha2-nistp384`,
  )
  const directory = dirname(config)
  for (const name of ['known_hosts', 'open']) await writeFile(join(directory, name), knownHosts)
  await chmod(join(directory, 'open'), 0o666)
  const stack = await startStack({ inventory: 'hosts: {}\n', knownHosts: '', env: { MUSTER_SSH_CONFIG: config } })
  const command = 'echo $COLOUR $OTHER.'
  const { job_id: jobId } = await stack.submit({ targets: '@*', command, retries: 0 })
  const { problems } = await stack.ended(jobId)
  const reasons = Object.fromEntries(problems?.map(({ hosts, reason, detail }) => [hosts, [reason, detail]]) ?? [])
  expect(reasons).toEqual({
    unknown: ['host_key_unknown', expect.stringContaining(`read: ${stack.dataDir}/known_hosts`)],
    open: ['host_key_unknown', expect.stringContaining(`${directory}/open is not read: others can write to it`)],
    modern: ['kex_failed', expect.stringContaining('host key: we offer ssh-ed25519, the host ssh-rsa')],
    silent: ['conn_timeout', expect.stringContaining('(limit 1 s)')],
  })
  const run = OPERATIONS.get_run.output.parse((await stack.ask('GET', `/v1/jobs/${jobId}/runs/good`)).body)
  expect(run.notice).toBe('good uses legacy algorithms: ssh-rsa')
  const output = await stack.ask('GET', `/v1/jobs/${jobId}/output`)
  // What AcceptEnv does not name the host leaves out, as for ssh.
  expect(JSON.stringify(output.body)).toContain('red .')
}, 120_000)

test('a job goes through a program that the operator has named, and through no other', async () => {
  const own = await ownSshd()
  const directory = await mkdtemp(join(tmpdir(), 'muster-proxy-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const program = join(directory, 'lead')
  const source = `
    const socket = require('node:net').connect(process.argv[3], process.argv[2])
    process.stdin.pipe(socket).pipe(process.stdout)`
  await writeFile(program, `#!${process.execPath}\n${source}\n`, { mode: 0o755 })
  const config = await sshConfig(
    `Host web behind unnamed
       HostName 127.0.4.1
       Port ${own.port}
       User ${own.user}
       IdentityFile ${own.keys.ed25519}
     Host web
       ProxyCommand lead %h %p
     Host behind
       HostName 127.0.5.1
       ProxyJump web
     Host unnamed
       ProxyCommand /bin/sh -c id`,
  )
  const env = { MUSTER_SSH_CONFIG: config, MUSTER_PROXY_COMMANDS: program }
  const stack = await startStack({ inventory: 'hosts: {}\n', knownHosts: own.knownHosts, env })
  const { job_id: jobId } = await stack.submit({ targets: 'web,behind', command: 'echo $SSH_CONNECTION' })
  expect(await stack.ended(jobId)).toMatchObject({ counts: { succeeded: 2 } })
  const refused = await stack.ask('GET', '/v1/hosts?targets=unnamed')
  expect(OPERATIONS.list_hosts.output.parse(refused.body).hosts).toMatchObject([
    { disabled: expect.stringContaining('ProxyCommand'), not_taken: [{ option: 'ProxyCommand' }] },
  ])
  await chmod(program, 0o777)
  const { job_id: later } = await stack.submit({ targets: 'web', command: 'true', retries: 0 })
  expect(await stack.ended(later)).toMatchObject({ counts: { unreachable: 1 } })
  const run = OPERATIONS.get_run.output.parse((await stack.ask('GET', `/v1/jobs/${later}/runs/web`)).body)
  expect(run).toMatchObject({ reason: 'jump_failed', detail: expect.stringContaining('chmod') })
}, 120_000)
