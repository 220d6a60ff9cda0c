/** The demo fleet behaves like hosts do, and leaves nothing behind. */
import { createHash, randomBytes } from 'node:crypto'
import { fixedKnownHosts } from '@muster/ssh'
import { expect, onTestFinished, test } from 'vitest'
import { startDemoFleet } from '../../../../apps/demo/src/demo-fleet.ts'
import { dial, reach, run } from '../../../support/ssh/ssh.ts'

async function startFleet(hosts: Parameters<typeof startDemoFleet>[0]['hosts']) {
  const fleet = await startDemoFleet({ hosts })
  onTestFinished(() => fleet.close())
  const credentials = [{ kind: 'key', pem: fleet.clientKeyPem, source: 'demo key' } as const]
  const knownHosts = fixedKnownHosts(fleet.knownHosts)
  return { fleet, knownHosts, hosts: fleet.hosts.map((host) => ({ ...host, credentials })) }
}

test('each host knows its name, streams, exit status and signal', async () => {
  const { hosts, knownHosts } = await startFleet([{ name: 'demo1' }, { name: 'demo2' }])
  for (const host of hosts) {
    const connection = await reach(host, { knownHosts })
    const end = await run(connection, 'echo $MUSTER_HOST_NAME; echo err >&2; exit 3')
    expect(end).toMatchObject({ out: `${host.name}\n`, err: 'err\n', exitCode: 3, outputComplete: true })
    expect(await run(connection, 'kill -s TERM $$')).toMatchObject({ state: 'failed', signal: 'TERM' })
  }
})

test('a host whose user has no home directory runs commands in /', async () => {
  const { HOME } = process.env
  process.env.HOME = '/nonexistent'
  onTestFinished(() => {
    process.env.HOME = HOME
  })
  const { hosts, knownHosts } = await startFleet([{ name: 'demo1' }])
  const [host] = hosts
  if (host === undefined) return expect.unreachable()
  expect(await run(await reach(host, { knownHosts }), 'pwd')).toMatchObject({ out: '/\n', exitCode: 0 })
})

test('large input and output come through unchanged, on both streams at once', async () => {
  const { hosts, knownHosts } = await startFleet([{ name: 'demo1' }])
  const [host] = hosts
  if (host === undefined) return expect.unreachable()
  const stdin = randomBytes(6_000_000)
  const command = 'copy=$(mktemp); cat >$copy; cat $copy & cat $copy >&2; wait; rm $copy'
  const end = await run(await reach(host, { knownHosts }), { form: { command }, stdin })
  const sha256 = createHash('sha256').update(stdin).digest('hex')
  expect(end.stdout).toMatchObject({ bytes: stdin.length, sha256 })
  expect(end.stderr).toMatchObject({ bytes: stdin.length, sha256 })
})

test('an unreachable host refuses, and another key is not let in', async () => {
  const { hosts, knownHosts } = await startFleet([{ name: 'gone', unreachable: true }, { name: 'demo1' }])
  const [gone, demo1] = hosts
  const strangers = await startFleet([])
  const key = { kind: 'key', pem: strangers.fleet.clientKeyPem, source: 'a stranger’s key' } as const
  if (gone === undefined || demo1 === undefined) return expect.unreachable()
  expect(await dial(gone, { knownHosts })).toMatchObject({ reason: 'conn_refused' })
  expect(await dial({ ...demo1, credentials: [key] }, { knownHosts })).toMatchObject({ reason: 'auth_failed' })
})

test('a command is killed with its group on a timeout', async () => {
  const { hosts, knownHosts } = await startFleet([{ name: 'demo1' }])
  const [host] = hosts
  if (host === undefined) return expect.unreachable()
  const end = await run(await reach(host, { knownHosts }), 'trap "" TERM; sleep 60 & sleep 60', { execTimeoutMs: 200 })
  expect(end).toMatchObject({ state: 'timed_out', remote: 'ended', signal: 'KILL' })
})

test('closing the fleet ends its commands with their children', async () => {
  const { fleet, hosts, knownHosts } = await startFleet([{ name: 'demo1' }])
  const [host] = hosts
  if (host === undefined) return expect.unreachable()
  const pids: string[] = []
  const end = await run(await reach(host, { knownHosts }), 'sleep 60 & echo $! $$; wait', {
    onOutput: async (_stream, bytes) => {
      pids.push(...bytes.toString().trim().split(' '))
      await fleet.close()
      await fleet.close()
    },
  })
  expect(end).toMatchObject({ state: 'lost', remote: 'unknown' })
  const left = await run(await reach(), `ps -o stat= -p ${pids.join(',')} | grep -v Z`)
  expect(left.out).toBe('')
})
