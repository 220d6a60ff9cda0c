/**
 * Hosts that a request names itself, `user@host`, and the inventory does not have: who may, what is offered to them,
 * and what they share with hosts of the inventory. A real sshd on many addresses is behind all of them.
 */
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fingerprintOf, OPERATIONS, Problem, type Request } from '@muster/contract'
import { expect, inject, onTestFinished, test } from 'vitest'
import { muster, startMuster } from '../../support/cli/muster-process.ts'
import { sharedRedisUrl } from '../../support/runtime/shared-redis.ts'
import { CAN_MAKE_ACCOUNTS, makeAccount } from '../../support/ssh/account.ts'
import { startRelay } from '../../support/ssh/relay.ts'
import { startSshd } from '../../support/ssh/sshd.ts'
import { HAS_OWN_FILES, withSilentResolver } from '../../support/ssh/system-files.ts'
import { type Stack, startStack } from '../../support/stack/stack.ts'
import { witnessFile } from '../../support/stack/witness.ts'

const OWN = { MUSTER_ADHOC_HOSTS: 'known_hosts', MUSTER_ADHOC_KEY_DIRS: '~/.ssh' }

/** A home directory with the usual key, which the sshd takes. */
async function homeWithKey(): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'muster-home-'))
  onTestFinished(() => rm(home, { recursive: true, force: true }))
  await mkdir(join(home, '.ssh'), { mode: 0o700 })
  await copyFile(inject('sshd').keys.ed25519, join(home, '.ssh/id_ed25519'))
  return home
}

async function startWith(env: Record<string, string>, more: { inventory?: string; knownHosts?: string } = {}) {
  const { knownHosts } = inject('sshd')
  return await startStack({ inventory: '', knownHosts, ...more, env: { HOME: await homeWithKey(), ...env } })
}

/** The first problem of a job that has ended; undefined when all went well. */
async function problemOf(stack: Stack, request: Request<'submit_job'>) {
  const answer = await stack.ask('POST', '/v1/jobs', request)
  expect(answer.status, JSON.stringify(answer.body)).toBe(202)
  const { job_id: jobId } = OPERATIONS.submit_job.output.parse(answer.body)
  const { problems, state } = await stack.ended(jobId)
  return { jobId, state, problem: problems?.[0] }
}

async function refusalOf(stack: Stack, request: Request<'submit_job'>): Promise<Problem> {
  const { body } = await stack.ask('POST', '/v1/jobs', request)
  return Problem.parse(body)
}

test('with nothing configured but known_hosts, a command runs on a host that the command line names', async () => {
  const stack = await startWith(OWN)
  const { user, port } = inject('sshd')
  const host = `${user}@127.0.1.1:${port}`
  const ran = await muster(stack.env, 'run', host, '--', 'uname -s')
  expect([ran.status, ran.out.toString()], ran.said).toEqual([0, `── ${host}: succeeded\n│ Linux\n`])
  const spelled = await muster(stack.env, 'run', '-l', user, '-p', String(port), '127.0.1.1', '--', 'uname -s')
  expect(spelled.out.toString(), spelled.said).toBe(`── ${host}: succeeded\n│ Linux\n`)
  expect((await muster(stack.env, 'ping', host)).out.toString()).toMatch(/ ok, connected in /)
  const shown = await muster(stack.env, 'hosts', `ssh://${host}`)
  expect(shown.out.toString()).toContain(host)
  expect((await muster(stack.env, 'output', '--help')).status).toBe(0)
}, 60_000)

test('muster up needs nothing but known_hosts, and is off where others can reach it', async () => {
  const { user, port, knownHosts } = inject('sshd')
  sharedRedisUrl()
  const home = await homeWithKey()
  await writeFile(join(home, '.ssh/known_hosts'), knownHosts)
  const env = { PATH: process.env.PATH, HOME: home, MUSTER_PORT: '0', MUSTER_WORKER_PROCESSES: '1', LOG_LEVEL: 'warn' }
  const up = startMuster(env, 'up')
  await expect.poll(() => up.out().toString(), { timeout: 60_000 }).toContain('Muster is up')
  const ran = await muster(env, 'run', `${user}@127.0.0.1:${port}`, '--', 'uname', '-a')
  expect([ran.status, ran.out.toString()], ran.said).toEqual([0, expect.stringContaining('│ Linux ')])
  up.child.kill('SIGTERM')
  await up.end()
  const open = startMuster({ ...env, MUSTER_HOST: '0.0.0.0', MUSTER_BEHIND_PROXY: '1' }, 'up')
  const { out, said } = await open.end()
  expect(out.toString()).toContain('there is no such file, and SSH_SERVERS is not set')
  expect(said).toContain('server ended early, with status 1; its own lines say why')
}, 120_000)

test('a host whose key is not known is refused with its fingerprint, and gets no credential', async () => {
  const { user, port } = inject('sshd')
  const stack = await startWith(OWN, { knownHosts: '' })
  const { problem } = await problemOf(stack, { targets: `${user}@127.0.1.1:${port}`, command: 'true' })
  expect(problem).toMatchObject({ state: 'unreachable', reason: 'host_key_unknown' })
  expect(problem?.detail).toMatch(/SHA256:[\w+/]{43}/)
}, 60_000)

test('what the setting does not allow is refused at submit, with setting, host and what is allowed', async () => {
  const allowed = 'MUSTER_ADHOC_HOSTS allows 127.0.1.0/24,*.muster.test'
  const stack = await startWith({ MUSTER_ADHOC_HOSTS: '127.0.1.0/24, *.muster.test' })
  const refused: Record<string, string> = {
    'root@10.0.0.5': `root@10.0.0.5: it is not in the inventory, and ${allowed}`,
    'root@169.254.169.254': '169.254.169.254 is the metadata service of a cloud, which no request may name',
    'root@::ffff:169.254.169.254': '169.254.169.254 is the metadata service of a cloud',
    'root@64:ff9b::a9fe:a9fe': 'is the metadata service of a cloud',
    'root@fd00:ec2::254': 'is the metadata service of a cloud',
    'root@fe80::1%eth0': 'is a link-local address',
    'root@[ff02::1]:2222': 'is a multicast address',
    'root@0.0.0.0': 'is no address of a host',
    'root@255.255.255.255': 'is no address of a host',
  }
  for (const [targets, text] of Object.entries(refused)) {
    const { code, detail } = await refusalOf(stack, { targets, command: 'true' })
    expect([code, detail]).toEqual(['host_not_allowed', expect.stringContaining(text)])
  }
  const jumped = { targets: 'root@127.0.1.1', connect: { jump: 'root@10.0.0.5' }, command: 'true' }
  expect(await refusalOf(stack, jumped)).toMatchObject({ code: 'host_not_allowed' })
  const behind = { targets: 'root@db.example.com', connect: { jump: 'root@127.0.1.1' }, command: 'true' }
  expect((await refusalOf(stack, behind)).detail).toContain('behind a jump host')
  const off = await startWith(
    { MUSTER_ADHOC_HOSTS: 'off' },
    { inventory: 'hosts: { web: { address: 127.0.1.1, user: u } }' },
  )
  expect((await refusalOf(off, { targets: 'root@127.0.1.1', command: 'true' })).detail).toContain('is off')
}, 60_000)

test('a worker asks its own setting before it connects, whatever the server allows', async () => {
  const { user, port } = inject('sshd')
  const stack = await startWith(OWN)
  await stack.workers[0]?.stop()
  const witness = await witnessFile()
  await stack.startWorker({ MUSTER_ADHOC_HOSTS: '10.0.0.0/8' })
  const host = `${user}@127.0.1.1:${port}`
  const { problem } = await problemOf(stack, { targets: host, command: `echo ran >> ${witness.path}` })
  expect(problem).toMatchObject({ state: 'skipped', reason: 'policy_denied', hosts: host })
  expect(problem?.detail).toContain('MUSTER_ADHOC_HOSTS allows 10.0.0.0/8 (on this worker)')
  expect(await witness.lines()).toEqual([])
}, 60_000)

test.skipIf(!HAS_OWN_FILES)(
  'a name that leads to an allowed address and then elsewhere is connected to the allowed one alone',
  async () => {
    const { user, port, hostKeys } = inject('sshd')
    const { by, setHosts } = await withSilentResolver('127.0.1.7 moves.muster.test')
    const stack = await startStack({
      inventory: '',
      knownHosts: `[moves.muster.test]:${port} ssh-ed25519 ${hostKeys['ssh-ed25519']}\n`,
      env: { HOME: await homeWithKey(), ...OWN, MUSTER_ADHOC_HOSTS: '127.0.1.0/24' },
      workerBy: by,
    })
    const witness = await witnessFile()
    const run = (name: string) =>
      problemOf(stack, {
        targets: `${user}@moves.muster.test:${port}`,
        command: `echo ${name} $SSH_CONNECTION | cut -d' ' -f1,4 >> ${witness.path}`,
      })
    expect((await run('first')).state).toBe('succeeded')
    await setHosts('127.0.2.7 moves.muster.test')
    // The pool may still have the connection, which goes to the address that was checked.
    await stack.workers[0]?.stop()
    await stack.startWorker()
    expect((await run('second')).problem).toMatchObject({
      state: 'skipped',
      reason: 'policy_denied',
      detail: expect.stringContaining('; its name leads to 127.0.2.7'),
    })
    await setHosts('169.254.169.254 moves.muster.test\n127.0.1.8 moves.muster.test')
    expect((await run('third')).state).toBe('succeeded')
    expect(await witness.lines()).toEqual(['first 127.0.1.7', 'third 127.0.1.8'])
  },
  60_000,
)

test('a request that names a host of the inventory by its address and user runs there, once', async () => {
  const { user, port, keys } = inject('sshd')
  const stack = await startWith(OWN, {
    inventory: [
      `defaults: { user: ${user}, port: ${port}, identity_file: ${keys.ed25519} }`,
      'hosts: { web01: { address: 127.0.1.1, aliases: [www] }, out: { address: 127.0.1.2, disabled: "in repair" } }',
      '',
    ].join('\n'),
  })
  const targets = `web01,${user}@127.0.1.1:${port},${user}@www,ssh://${user}@web01:${port}`
  const { jobId, state } = await problemOf(stack, { targets, command: 'true' })
  expect(state).toBe('succeeded')
  expect(await stack.ended(jobId)).toMatchObject({ total: 1 })
  const other = await problemOf(stack, { targets: 'root@127.0.1.2', connect: { port }, command: 'true' })
  expect(other.problem).toMatchObject({ hosts: 'root@out', reason: 'host_disabled' })
  const used = await refusalOf(stack, { targets: 'web01', connect: { user: 'root' }, command: 'true' })
  expect(used).toMatchObject({
    code: 'invalid_request',
    detail: expect.stringContaining('write root@web01 in targets'),
  })
  const unused = await refusalOf(stack, { targets: 'web01', connect: { jump: 'root@127.0.1.3' }, command: 'true' })
  expect(unused.detail).toContain('leave connect out')
}, 60_000)

test('credentials of the inventory stay with its users; those of its section go where it says', async () => {
  const { user, port, keys, hostKeys } = inject('sshd')
  const relay = await startRelay(port)
  const inventory = [
    'hosts:',
    `  web01: { address: 127.0.1.1, port: ${relay.port}, user: somebody, identity_file: ${keys.ed25519} }`,
    'credentials:',
    `  lab: { hosts: [127.0.3.0/24, "*.lab.test"], users: [${user}], identity_file: ${keys.ed25519} }`,
    '',
  ].join('\n')
  const knownHosts = `[127.0.*]:${relay.port} ssh-ed25519 ${hostKeys['ssh-ed25519']}\n`
  const stack = await startWith({ MUSTER_ADHOC_HOSTS: '127.0.0.0/16' }, { inventory, knownHosts })
  const at = (address: string) => `${user}@${address}:${relay.port}`
  const denied = await problemOf(stack, { targets: at('127.0.1.1'), command: 'true' })
  expect(denied.problem).toMatchObject({ hosts: `${user}@web01`, reason: 'auth_failed' })
  expect(denied.problem?.detail).toContain('no credential is configured for this host')
  expect((await problemOf(stack, { targets: at('127.0.3.1'), command: 'true' })).state).toBe('succeeded')
  const named = { targets: at('127.0.3.2'), connect: { credential: 'lab' }, command: 'true' }
  expect((await problemOf(stack, named)).state).toBe('succeeded')
  const others = await problemOf(stack, { targets: at('127.0.4.1'), connect: { credential: 'lab' }, command: 'true' })
  expect(others.problem?.detail).toContain('the credential lab of the inventory is not for')
}, 60_000)

test('a key file that a request names is read from the named directories alone, wherever links lead', async () => {
  const { user, port, keys } = inject('sshd')
  const log = join(await homeWithKey(), 'log')
  const env = { MUSTER_ADHOC_HOSTS: '127.0.0.0/16', MUSTER_ADHOC_KEY_DIRS: '~/keys', MUSTER_LOG_FILE: log }
  const stack = await startWith(env)
  const home = stack.env.HOME ?? ''
  await mkdir(join(home, 'keys'), { mode: 0o700 })
  await copyFile(keys.ed25519, join(home, 'keys/deploy'))
  await writeFile(join(home, 'secret'), 'hunter2', { mode: 0o600 })
  const run = (identity_file: string) =>
    problemOf(stack, { targets: `${user}@127.0.1.1:${port}`, connect: { identity_file }, command: 'true' })
  expect((await run('~/keys/deploy')).state).toBe('succeeded')
  for (const file of ['~/secret', '~/keys/../secret', '~/.ssh/id_ed25519', '/etc/shadow', '~/is-not-there']) {
    const { problem } = await run(file)
    expect(problem?.detail, file).toContain('lies outside the directories for it; move it into one of')
    expect(problem?.detail).toContain('MUSTER_ADHOC_KEY_DIRS')
  }
  // What a request names is judged as it is written, before anything is looked at.
  await symlink(join(home, 'keys/deploy'), join(home, 'linked'))
  expect((await run('~/linked')).problem?.detail).toContain('lies outside the directories for it')
  // Where links lead, and what is there, is for the operator alone.
  await mkdir(join(home, 'keys/real'))
  await writeFile(join(home, 'keys/real/open'), await readFile(keys.ed25519), { mode: 0o644 })
  await chmod(join(home, 'keys/real/open'), 0o666)
  await symlink(join(home, 'keys/real/open'), join(home, 'keys/by-link'))
  await symlink(join(home, 'secret'), join(home, 'keys/there'))
  await symlink(join(home, 'is-not-there'), join(home, 'keys/nowhere'))
  const told = async (name: string) => ((await run(`~/keys/${name}`)).problem?.detail ?? '').replaceAll(name, 'NAME')
  expect(await told('there')).toContain(
    'is not used: it is a link that leads elsewhere; the log of the worker says more',
  )
  expect(await told('nowhere')).toBe(await told('there'))
  expect(await told('by-link')).toContain('the owner or mode of what it leads to is not right')
  for (const name of ['there', 'by-link']) expect(await told(name)).not.toMatch(/secret|real/)
  const logged = await readFile(log, 'utf8')
  for (const there of ['secret and lies outside', 'is-not-there and lies outside', 'chmod o-w']) {
    expect(logged).toContain(there)
  }
  // Without ~/.ssh among them, what ssh would try by itself is not offered either.
  const { problem } = await problemOf(stack, { targets: `${user}@127.0.1.1:${port}`, command: 'true' })
  expect(problem).toMatchObject({ reason: 'auth_failed' })
}, 60_000)

test('a pinned key stands for known_hosts where a network allows the host, and narrows it elsewhere', async () => {
  const { user, port, keys, hostKeys } = inject('sshd')
  const printOf = (blob = '') => fingerprintOf(Buffer.from(blob, 'base64'))
  const shown = printOf(hostKeys['ssh-ed25519'])
  const connect = { identity_file: keys.ed25519 }
  const env = { MUSTER_ADHOC_HOSTS: '127.0.1.0/24,known_hosts', MUSTER_ADHOC_KEY_DIRS: dirname(keys.ed25519) }
  const stack = await startWith(env, { knownHosts: '' })
  const run = (address: string, host_key: string) =>
    problemOf(stack, { targets: `${user}@${address}:${port}`, connect: { ...connect, host_key }, command: 'true' })
  expect((await run('127.0.1.1', shown)).state).toBe('succeeded')
  // It has more keys than the one that it shows first.
  expect((await run('127.0.1.1', printOf(hostKeys['ssh-rsa']))).state).toBe('succeeded')
  expect((await run('127.0.2.1', shown)).problem).toMatchObject({ reason: 'host_key_unknown' })
  const other = `SHA256:${'A'.repeat(43)}`
  const { problem } = await run('127.0.1.1', other)
  expect(problem).toMatchObject({ reason: 'host_key_changed', detail: expect.stringContaining(other) })
}, 60_000)

test('a name is not looked up behind a jump host unless known_hosts or a pattern has it', async () => {
  const { user, port, hostKeys, knownHosts } = inject('sshd')
  const stack = await startWith(OWN)
  const request = {
    targets: `${user}@localhost:${port}`,
    connect: { jump: `${user}@127.0.1.3:${port}` },
    command: 'true',
    retries: 0,
  }
  const { jobId, problem } = await problemOf(stack, request)
  expect(problem).toMatchObject({
    reason: 'host_key_unknown',
    detail: expect.stringContaining(`no key is listed for [localhost]:${port}, and its name would be looked up behind`),
  })
  const { body } = await stack.ask('GET', `/v1/jobs/${jobId}/runs/${encodeURIComponent(request.targets)}`)
  expect(OPERATIONS.get_run.output.parse(body).reached ?? null, 'nothing was connected to').toBeNull()
  const line = `[localhost]:${port} ssh-ed25519 ${hostKeys['ssh-ed25519']}\n`
  await writeFile(join(stack.dataDir, 'known_hosts'), `${knownHosts}${line}`)
  expect((await problemOf(stack, { ...request, force: true })).state).toBe('succeeded')
  const byPattern = await startWith({ ...OWN, MUSTER_ADHOC_HOSTS: 'local*,127.0.1.0/24' })
  expect((await problemOf(byPattern, request)).problem).toMatchObject({
    reason: 'host_key_unknown',
    detail: expect.stringMatching(/the host shows the \S+ key SHA256:/),
  })
}, 60_000)

test('a host is reached through those that the request names, and a rerun goes the same way', async () => {
  const { user, port } = inject('sshd')
  const stack = await startWith(OWN)
  const witness = await witnessFile()
  const targets = `${user}@127.0.1.9:${port}`
  const connect = { jump: `${user}@127.0.1.3:${port},${user}@127.0.1.4:${port}` }
  const command = `echo "$SSH_CONNECTION" | cut -d' ' -f3 >> ${witness.path}; [ "$(grep -c . ${witness.path})" = 2 ]`
  const first = await problemOf(stack, { targets, connect, command })
  expect(first.state).toBe('failed')
  const answer = await stack.ask('POST', `/v1/jobs/${first.jobId}/rerun`, {})
  const again = await stack.ended(OPERATIONS.rerun_job.output.parse(answer.body).job_id)
  expect(again).toMatchObject({ state: 'succeeded', targets })
  expect(await witness.lines()).toEqual(['127.0.1.9', '127.0.1.9'])
}, 60_000)

test.skipIf(!CAN_MAKE_ACCOUNTS)(
  'another user of a machine of the inventory takes turns with it',
  async () => {
    const account = await makeAccount('/bin/sh')
    onTestFinished(() => account.close())
    const { user, port, keys } = inject('sshd')
    const stack = await startWith(OWN, {
      inventory: `hosts: { web: { address: 127.0.1.1, port: ${port}, user: ${user}, identity_file: ${keys.ed25519} } }`,
    })
    const witness = await witnessFile()
    const command = `umask 0; echo began >> ${witness.path}; sleep 1; echo ended >> ${witness.path}`
    const both = await problemOf(stack, { targets: `web,${account.user}@127.0.1.1:${port}`, command })
    expect(both.state).toBe('succeeded')
    expect(await witness.lines()).toEqual(Array(2).fill(['began', 'ended']).flat())
    const { notices } = await stack.ended(both.jobId)
    expect(notices).toContainEqual(expect.objectContaining({ hosts: `web,${account.user}@web`, count: 2 }))
  },
  60_000,
)

test('IPv6 addresses are named as an OpenSSH user types them', async () => {
  const { facts, close } = await startSshd(['ListenAddress ::1'])
  onTestFinished(close)
  const { user, port, hostKeys } = facts
  const home = await mkdtemp(join(tmpdir(), 'muster-home-'))
  onTestFinished(() => rm(home, { recursive: true, force: true }))
  await mkdir(join(home, '.ssh'), { mode: 0o700 })
  await copyFile(facts.keys.ed25519, join(home, '.ssh/id_ed25519'))
  const knownHosts = `[::1]:${port} ssh-ed25519 ${hostKeys['ssh-ed25519']}\n`
  const stack = await startStack({ inventory: '', knownHosts, env: { HOME: home, ...OWN } })
  for (const targets of [`${user}@[::1]:${port}`, `ssh://${user}@[0:0::1]:${port}`]) {
    const { jobId, state, problem } = await problemOf(stack, { targets, command: 'true' })
    expect(state, problem?.detail ?? '').toBe('succeeded')
    const { body } = await stack.ask('GET', `/v1/jobs/${jobId}/runs/${encodeURIComponent(targets)}`)
    expect(OPERATIONS.get_run.output.parse(body)).toMatchObject({ host: `${user}@[::1]:${port}` })
  }
}, 60_000)

test('a key that may not name hosts, or only some, is held to that, and makes none that may more', async () => {
  const { user, port } = inject('sshd')
  const stack = await startWith(OWN)
  const make = async (limits: Omit<Request<'create_key'>, 'scopes'>, key = stack.apiKey) => {
    const scopes = ['jobs:run', 'jobs:read', 'keys:manage']
    const answer = await as(key, '/v1/keys', { scopes, ...limits })
    return OPERATIONS.create_key.output.parse(answer)
  }
  const as = async (key: string, path: string, body: object): Promise<unknown> => {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
    const signal = AbortSignal.timeout(20_000)
    const response = await fetch(stack.url + path, { method: 'POST', headers, body: JSON.stringify(body), signal })
    return await response.json()
  }
  const host = `${user}@127.0.1.1:${port}`
  const none = await make({ no_named_hosts: true })
  expect(none.record.limits.may_name_hosts).toBe(false)
  const refused = Problem.parse(await as(none.key, '/v1/jobs', { targets: host, command: 'true' }))
  expect(refused).toMatchObject({ code: 'key_limit', detail: expect.stringContaining('may name no other hosts') })
  const child = await make({}, none.key)
  expect(child.record.limits.may_name_hosts).toBe(false)
  const some = await make({ hosts: host })
  const submit = (targets: string, connect?: object) =>
    as(some.key, '/v1/jobs', { targets, ...(connect && { connect }), command: 'true' })
  expect(OPERATIONS.submit_job.output.parse(await submit(host))).toMatchObject({ total: 1 })
  expect(await submit(`${user}@127.0.1.2:${port}`)).toMatchObject({ code: 'key_limit' })
  expect(await submit(host, { jump: `${user}@127.0.1.2:${port}` })).toMatchObject({ code: 'key_limit' })
}, 60_000)
