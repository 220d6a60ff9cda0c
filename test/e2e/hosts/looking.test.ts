/**
 * Looking at hosts end to end: real sshd, worker and server; paths that would do harm, and a file that shows they do
 * not.
 */
import { execFile } from 'node:child_process'
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { OPERATIONS, type OperationName, type Output } from '@muster/contract'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { use } from '../../support/mcp/tool-call.ts'
import { startSshd } from '../../support/ssh/sshd.ts'
import { fleetFiles, fleetFilesWithBadHosts } from '../../support/stack/fleet-files.ts'
import { type Stack, startStack } from '../../support/stack/stack.ts'
import { witnessFile } from '../../support/stack/witness.ts'

const parsed = <N extends OperationName>(name: N, answer: unknown): Output<N> => {
  const output: z.ZodType<Output<N>> = z.custom<Output<N>>((value) => OPERATIONS[name].output.safeParse(value).success)
  return output.parse(answer)
}
const look = async <N extends 'list_directory' | 'check_disk_usage' | 'test_connection'>(
  stack: Stack,
  name: N,
  fields: Record<string, unknown>,
) => parsed(name, (await use(stack, name, { wait_s: 45, ...fields })).structuredContent)

async function directoryOnHost(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'muster-dir-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  await chmod(directory, 0o755)
  return directory
}

test('a directory is listed on a group as one answer, with hosts that are down beside it', async () => {
  const stack = await startStack(await fleetFilesWithBadHosts(4))
  const directory = await directoryOnHost()
  for (const name of ['a file', 'b\nc', '\x1b[31m', '-rf'])
    await writeFile(join(directory, name), 'hello', { mode: 0o644 })
  await symlink('/etc/passwd', join(directory, 'link'))
  const fields = { targets: 'web[01-04],refused,wrongkey', path: directory }
  const { structuredContent } = await use(stack, 'list_directory', { wait_s: 45, ...fields })
  const answer = parsed('list_directory', structuredContent)
  expect(answer).toMatchObject({ hosts: 6, answered: 4, not_ended: 0, hosts_left_out: 0 })
  expect(answer.problems.map(({ hosts, state }) => [hosts, state]).toSorted()).toEqual([
    ['refused', 'unreachable'],
    ['wrongkey', 'unreachable'],
  ])
  expect(answer.groups).toMatchObject([{ hosts: 'web[01-04]', count: 4, is_directory: true, total_entries: 5 }])
  expect(answer.groups[0]?.entries).toMatchObject([
    { name: '\\x1b[31m', type: 'file' },
    { name: '-rf', size_bytes: 5, mode: '0644', modified_at: expect.stringMatching(/Z$/) },
    { name: 'a file' },
    { name: 'b\nc' },
    { name: 'link', type: 'symlink', target: '/etc/passwd' },
  ])
  expect(answer.next).toBeUndefined()
  // Page by page, by the call that the answer names.
  const names: string[] = []
  let call: Record<string, unknown> | undefined = { targets: '@web', path: directory, limit: 2 }
  while (call !== undefined) {
    const page: Output<'list_directory'> = await look(stack, 'list_directory', call)
    names.push(...(page.groups[0]?.entries.map(({ name }) => name) ?? []))
    call = page.next?.arguments
  }
  expect(names).toEqual(answer.groups[0]?.entries.map(({ name }) => name))
}, 90_000)

test('a path is only ever a path, whatever it holds', async () => {
  const stack = await startStack(fleetFiles(1))
  const witness = await witnessFile()
  const paths = [
    `; touch ${witness.path}`,
    `$(touch ${witness.path})`,
    `\`touch ${witness.path}\``,
    `' ; touch ${witness.path} ; '`,
    `-exec touch ${witness.path} ;`,
    `-fprint ${witness.path}`,
    `-oProxyCommand=touch ${witness.path}`,
    '-delete',
    '(',
    '!',
    '; rm -rf /',
    `x\ntouch ${witness.path}`,
  ]
  for (const path of paths) {
    const listed = await look(stack, 'list_directory', { targets: 'web01', path })
    expect(listed, path).toMatchObject({ answered: 0, groups: [] })
    expect(listed.problems, path).toMatchObject([
      { hosts: 'web01', state: 'failed', exit_code: 2, problem: expect.stringContaining('No such file or directory') },
    ])
    const disk = await look(stack, 'check_disk_usage', { targets: 'web01', path })
    expect(disk.problems, path).toMatchObject([
      { exit_code: 1, problem: expect.stringContaining('No such file or directory') },
    ])
  }
  await expect(witness.lines()).resolves.toEqual([])
  const refused = await use(stack, 'list_directory', { targets: 'web01', path: 'a\0b' })
  expect([refused.isError, refused.content[0]?.text]).toEqual([true, expect.stringMatching(/^invalid_request: path: /)])
}, 120_000)

test('a file, a directory that may not be read, and the home directory', async () => {
  const stack = await startStack(fleetFiles(2))
  const directory = await directoryOnHost()
  await writeFile(join(directory, 'file'), 'hello', { mode: 0o600 })
  const file = await look(stack, 'list_directory', { targets: '@web', path: `${directory}/file` })
  expect(file.groups).toMatchObject([{ is_directory: false, entries: [{ name: 'file', size_bytes: 5, mode: '0600' }] }])
  const home = await look(stack, 'list_directory', { targets: '@web', path: '~' })
  expect(home.groups).toMatchObject([{ hosts: 'web[01-02]', is_directory: true }])
  expect((await look(stack, 'list_directory', { targets: '@web' })).groups).toEqual(home.groups)
  // Only as root can the tests log in as another user.
  if (process.getuid?.() !== 0) return
  await mkdir(join(directory, 'private'), { mode: 0o700 })
  const denied = await look(stack, 'list_directory', { targets: '@web', path: `${directory}/private` })
  expect(denied.problems).toMatchObject([{ hosts: 'web[01-02]', problem: 'Permission denied', state: 'failed' }])
  const within = await look(stack, 'list_directory', { targets: '@web', path: `${directory}/private/x` })
  expect(within.problems).toMatchObject([{ problem: expect.stringContaining('Permission denied') }])
}, 60_000)

test('a host without GNU tools tells the same, and two hosts that differ are two answers', async () => {
  const bin = await directoryOnHost()
  for (const program of [
    'sh',
    'ls',
    'stat',
    'readlink',
    'head',
    'cat',
    'mkdir',
    'ps',
    'kill',
    'sleep',
    'setsid',
    'rm',
    'id',
    'tr',
    'sed',
    'df',
    'env',
  ]) {
    const found = await promisify(execFile)('sh', ['-c', `command -v ${program}`]).catch(() => undefined)
    if (found?.stdout.startsWith('/')) await symlink(found.stdout.trim(), join(bin, program))
  }
  const bare = await startSshd([`SetEnv PATH=${bin}`])
  onTestFinished(() => bare.close())
  const { inventory, knownHosts } = fleetFiles(1)
  const { facts } = bare
  const other = `  bare: { address: 127.0.1.1, port: ${facts.port}, identity_file: ${facts.keys.ed25519} }\ngroups:`
  const stack = await startStack({
    inventory: inventory.replace('groups:', other),
    knownHosts: knownHosts + facts.knownHosts,
  })
  const directory = await directoryOnHost()
  for (const name of ['x', '.y', 'z z']) await writeFile(join(directory, name), name)
  const same = await look(stack, 'list_directory', { targets: 'web01,bare', path: directory })
  expect(same.problems).toEqual([])
  expect(same.groups).toMatchObject([
    { hosts: 'web01,bare', entries: [{ name: 'x' }, { name: 'z z' }, { name: '.y' }] },
  ])
  const differ = await look(stack, 'list_directory', { targets: 'web01,bare', path: '/proc/self/environ' })
  expect(differ.answered).toBe(2)
  const proven = await look(stack, 'list_directory', { targets: 'bare', path: directory, limit: 1 })
  expect(proven.groups).toMatchObject([{ total_entries: 3, entries: [{ name: 'x' }] }])
}, 90_000)

test('how full disks are is reported for a group in few rows, and what holds a path', async () => {
  const stack = await startStack(await fleetFilesWithBadHosts(12))
  const usage = await look(stack, 'check_disk_usage', { targets: '@web,refused' })
  expect(usage).toMatchObject({ hosts: 13, answered: 12, not_ended: 0 })
  expect(usage.problems).toMatchObject([{ hosts: 'refused', state: 'unreachable' }])
  const root = usage.filesystems.find(({ mount }) => mount === '/')
  expect(root).toMatchObject({ hosts: 'web[01-12]', count: 12 })
  expect(root?.size_bytes).toBeGreaterThan(root?.used_bytes ?? 0)
  expect(usage.filesystems.map(({ mount }) => mount)).not.toContain('/dev')
  const one = await look(stack, 'check_disk_usage', { targets: 'web01', path: '/dev' })
  expect(one.filesystems).toHaveLength(1)
  const none = await look(stack, 'check_disk_usage', { targets: 'web01', path: '/', min_used_percent: 100 })
  expect(none).toMatchObject({ answered: 1, filesystems: [], filesystems_left_out: 0 })
}, 60_000)

test('which hosts can be reached, folded by the answer, with the times that it took', async () => {
  const stack = await startStack(await fleetFilesWithBadHosts(5))
  const answer = await look(stack, 'test_connection', { targets: '@web,refused,stranger' })
  expect(answer).toMatchObject({ hosts: 7, answered: 5, not_ended: 0 })
  expect(answer.groups).toMatchObject([
    { ok: false, count: 1, detail: expect.any(String) },
    { ok: false, count: 1, detail: expect.any(String) },
    {
      hosts: 'web[01-05]',
      ok: true,
      count: 5,
      connect_ms_median: expect.any(Number),
      connect_ms_slowest: expect.any(Number),
    },
  ])
  expect(
    answer.groups
      .slice(0, 2)
      .map(({ hosts, reason }) => [hosts, reason])
      .toSorted(),
  ).toEqual([
    ['refused', 'conn_refused'],
    ['stranger', 'host_key_unknown'],
  ])
}, 60_000)

test('while nobody has answered nothing is known, and the call that is named waits for the same job', async () => {
  const stack = await startStack({ ...fleetFiles(3), workers: 0 })
  for (const name of ['test_connection', 'list_directory', 'check_disk_usage'] as const) {
    const early = await look(stack, name, { targets: '@web', wait_s: 0.1 })
    expect(early, name).toMatchObject({ hosts: 3, answered: 0, not_ended: 3, next: { tool: name } })
    if ('groups' in early && name === 'test_connection') expect(early.groups).toMatchObject([{ ok: null, count: 3 }])
    if ('problems' in early) expect(early.problems).toEqual([])
    const again = await look(stack, name, { ...early.next?.arguments, wait_s: 0.1 })
    expect(again.job_id, name).toBe(early.job_id)
    if (stack.workers.length === 0) await stack.startWorker()
    const late = await look(stack, name, { ...early.next?.arguments, wait_s: 45 })
    expect(late, name).toMatchObject({ job_id: early.job_id, answered: 3, not_ended: 0 })
    expect(late.next).toBeUndefined()
    await stack.workers.pop()?.stop()
  }
}, 120_000)
