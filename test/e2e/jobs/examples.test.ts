/** Every file of examples/ is run as its comments say, on the hosts of the example inventory. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, inject, onTestFinished, test } from 'vitest'
import { startDemoFleet } from '../../../apps/demo/src/demo-fleet.ts'
import type { FleetFiles } from '../../support/stack/fleet-files.ts'
import { startStack } from '../../support/stack/stack.ts'
import { witnessFile } from '../../support/stack/witness.ts'

const SHOP = ['web01', 'web02', 'web03', 'db01', 'db02', 'bastion', 'staging']

/** The shop on the test sshd: the same names, 127.0.x.y instead of 10.0.x.y, and its user, port and key. */
async function shopFiles() {
  const { port, user, keys, knownHosts } = inject('sshd')
  const shop = await readFile('examples/shop/inventory.yaml', 'utf8')
  const inventory = shop
    .replace(/^defaults: .*$/m, `defaults: { user: ${user}, port: ${port}, identity_file: ${keys.ed25519} }`)
    .replaceAll('address: 10.', 'address: 127.')
    .replaceAll('address: "10.', 'address: "127.')
  return { inventory, knownHosts }
}

/** The demo fleet, as `npm run demo` has it but smaller. */
async function demoFiles() {
  const fleet = await startDemoFleet({ hosts: [{ name: 'demo01' }, { name: 'demo02' }] })
  onTestFinished(() => fleet.close())
  const directory = await sharedDirectory()
  await chmod(directory, 0o700)
  const key = join(directory, 'id_ed25519')
  await writeFile(key, fleet.clientKeyPem, { mode: 0o600 })
  const hosts = fleet.hosts.map(({ name, address, port, user }) => {
    return `  ${name}: { address: ${address}, port: ${port}, user: ${user}, identity_file: ${key} }\n`
  })
  return { inventory: `hosts:\n${hosts.join('')}`, knownHosts: fleet.knownHosts }
}

const openShop = async () => openStack(await shopFiles())

/** A running Muster, and how an example is started with it: with `muster` on its PATH, and a key. */
async function openStack(files: FleetFiles) {
  const stack = await startStack(files)
  const bin = join(stack.dataDir, 'bin')
  await mkdir(bin)
  const muster = `#!/bin/sh\nexec "${process.execPath}" "${resolve('apps/cli/bin/muster.js')}" "$@"\n`
  await writeFile(join(bin, 'muster'), muster, { mode: 0o755 })
  const env = {
    ...stack.env,
    PATH: `${bin}:${process.env.PATH}`,
    MUSTER_URL: stack.url,
    MUSTER_API_KEY: stack.apiKey,
  }
  const run = async (own: Record<string, string>, program: string, ...args: string[]) => {
    const child = spawn(program, args, { env: { ...env, ...own }, stdio: ['ignore', 'pipe', 'pipe'] })
    const [out, said] = await Promise.all([child.stdout.toArray(), child.stderr.toArray(), once(child, 'close')])
    return { status: child.exitCode, text: Buffer.concat([...out, ...said]).toString() }
  }
  return { ...stack, run }
}

/** A directory in which every user of the "hosts", which are one machine, may write. */
async function sharedDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'muster-example-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  await chmod(directory, 0o777)
  return directory
}

test('the inventory of the shop holds its hosts, and all answer, the databases through the bastion', async () => {
  const { run } = await openShop()
  const { status, text } = await run({}, 'muster', 'run', '@*', '--', 'true')
  expect(text).toContain(`(${SHOP.length} hosts): succeeded`)
  expect(status).toBe(0)
  expect((await run({}, 'muster', 'targets', 'web-staging')).text).toContain('staging')
}, 60_000)

test('the deploy goes to one host first, and a repeated pipeline step deploys nothing twice', async () => {
  const { run } = await openShop()
  const witness = await witnessFile()
  const deploy = { CI_PIPELINE_ID: '17', HEALTH_CHECK: `cat "$RELEASES/current/VERSION" >> ${witness.path}` }
  const flags = ['--env', `RELEASES=${await sharedDirectory()}`]
  const first = await run(deploy, 'examples/deploy/deploy.sh', '2.4.1', ...flags)
  expect(first.text).toContain('│ 2.4.1 is live')
  expect(first.status).toBe(0)
  expect(await witness.lines()).toEqual(['2.4.1', '2.4.1', '2.4.1'])
  expect((await run(deploy, 'examples/deploy/deploy.sh', '2.4.1', ...flags)).status).toBe(0)
  expect(await witness.lines()).toHaveLength(3)
}, 60_000)

test('a release that does not answer fails the pipeline, and only the first host has it', async () => {
  const { run } = await openShop()
  const flags = ['--env', `RELEASES=${await sharedDirectory()}`]
  const { status, text } = await run({ HEALTH_CHECK: 'false' }, 'examples/deploy/deploy.sh', '2.4.2', ...flags)
  expect(status).toBe(1)
  expect(text).toContain('1 failed, 2 skipped')
}, 60_000)

test.each([
  ['every host succeeds: its exit status is 0', 'true', 0, 'deployed 2.4.1'],
  ['the canary fails: its exit status is 1', 'exit 3', 1, '"state":"failed"'],
] as const)(
  'the deploy with curl, when %s',
  async (_name, command, status, words) => {
    const { run } = await openShop()
    const ended = await run({ DEPLOY_COMMAND: command }, 'examples/deploy/deploy-rest.sh', '2.4.1')
    expect(ended.text).toContain(words)
    expect(ended.status).toBe(status)
  },
  60_000,
)

test('the nightly backup is silent when all went well', async () => {
  const { run } = await openShop()
  const [source, target] = [await sharedDirectory(), await sharedDirectory()]
  await writeFile(join(source, 'orders.csv'), '1,2,3\n')
  const flags = ['--env', `BACKUP_SOURCE=${source}`, '--env', `BACKUP_TARGET=${target}`]
  expect(await run({}, 'examples/backup/nightly.sh', ...flags)).toEqual({ status: 0, text: '' })
  expect(await readdir(target)).toEqual([expect.stringMatching(/^\d{4}-\d\d-\d\d\.tar\.gz$/)])
}, 60_000)

test('the nightly backup says which hosts have none, and fails', async () => {
  const { run } = await openShop()
  const flags = ['--env', 'BACKUP_SOURCE=/nowhere', '--env', `BACKUP_TARGET=${await sharedDirectory()}`]
  const { status, text } = await run({}, 'examples/backup/nightly.sh', ...flags)
  expect(text).toContain('db[01-02] (2 hosts): failed')
  expect(status).toBe(1)
}, 60_000)

test.each([
  ['uptime', 0, '"state":"succeeded"'],
  ['echo disk full; exit 3', 1, 'disk full'],
] as const)(
  'the session of an agent that runs %s',
  async (command, status, words) => {
    const { run } = await openShop()
    const session = await run({}, process.execPath, 'examples/agent/session.mjs', command)
    for (const part of ['> preview_targets', '> run_command', '> get_output', words])
      expect(session.text).toContain(part)
    expect(session.status).toBe(status)
  },
  60_000,
)

test('every tool of the original script answers on the demo fleet', async () => {
  const { run } = await openStack(await demoFiles())
  const tried = await run({}, process.execPath, 'examples/original/every-tool.mjs')
  expect(tried.text).toMatch(/1\. The connection\n[^0-9]*"success": true/)
  for (const part of [
    '"stdout": "Linux ',
    ' etc\n',
    '%"',
    '5. A named server',
    '"exit_code": 3',
    'timed_out, exec_timeout',
  ])
    expect(tried.text).toContain(part)
  expect([tried.status, tried.text]).toEqual([0, expect.stringContaining('Every tool answered as it should.')])
}, 60_000)

test('where a host may not be named, the tools of the original script say so, and the client ends with 1', async () => {
  const { run } = await openStack(await demoFiles())
  const elsewhere = { SSH_HOST: '192.0.2.1', SSH_USER: 'root', SSH_PASSWORD: 'kanarie-example' }
  const { status, text } = await run(elsewhere, process.execPath, 'examples/original/every-tool.mjs')
  expect(text).toContain('it is not in the inventory, and MUSTER_ADHOC_HOSTS is off')
  expect(text).not.toContain('kanarie')
  expect(status).toBe(1)
}, 60_000)
