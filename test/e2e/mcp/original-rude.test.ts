/** The profile `original` on real hosts, in the hands of a user who gives it what no well-behaved one would. */
import { chmod, copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CommandResult, DirectoryLines } from '@muster/contract'
import { expect, inject, onTestFinished, test } from 'vitest'
import { connectModernSdk } from '../../support/mcp/mcp-clients.ts'
import { callTool, type StoryClient } from '../../support/mcp/mcp-story.ts'
import { gateFile } from '../../support/stack/gate.ts'
import { startStack } from '../../support/stack/stack.ts'
import { witnessFile } from '../../support/stack/witness.ts'

/** A stack that takes hosts of this machine and keys of one directory, and a host of it by a key that is there. */
async function open() {
  const { knownHosts, user: username, port, keys } = inject('sshd')
  const directory = await mkdtemp(join(tmpdir(), 'muster-rude-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const key_path = join(directory, 'id')
  await copyFile(keys.ed25519, key_path)
  const env = { MUSTER_ADHOC_HOSTS: '127.0.0.0/8,localhost', MUSTER_ADHOC_KEY_DIRS: directory }
  const { url, apiKey } = await startStack({ inventory: '', knownHosts, env })
  const client = await connectModernSdk({ url, key: apiKey, tools: 'original' }, 'auto')
  const host = { hostname: '127.0.1.1', port, username, key_path }
  const execute = (fields: Record<string, unknown>) => executed(client, { ...host, ...fields })
  return { client, host, directory, execute }
}

async function executed(client: StoryClient, fields: Record<string, unknown>) {
  const { isError, text, structured } = await callTool(client, 'execute_remote_command', fields)
  expect([isError, text]).toEqual([false, expect.any(String)])
  return CommandResult.parse(structured)
}

test('what the script took is taken: numbers and switches as text, null and "" for nothing', async () => {
  const { host, execute } = await open()
  const odd = { port: String(host.port), timeout: '10', sudo: 'false', password: '', sudo_password: null }
  expect(await execute({ ...odd, command: 'echo "$0 it\'s"; echo err >&2' })).toMatchObject({
    success: true,
    stdout: expect.stringMatching(/it's\n$/),
    stderr: 'err\n',
    exit_code: 0,
  })
  // A password for sudo is not used without sudo, and a key counts before a password that is wrong.
  const both = {
    password: 'wrong',
    sudo_password: 'not used',
    hostname: `ssh://${host.username}@127.0.1.2:${host.port}`,
  }
  expect(await execute({ ...both, command: 'exit 255' })).toMatchObject({
    success: false,
    exit_code: 255,
    error_message: 'The command exited with 255.',
  })
}, 60_000)

test('a command that takes too long is killed, and nobody makes up an exit code', async () => {
  const { execute } = await open()
  const witness = await witnessFile()
  const command = `echo started; sleep 5; echo late >> ${witness.path}`
  expect(await execute({ command, timeout: 0.5 })).toMatchObject({
    success: false,
    stdout: 'started\n',
    exit_code: null,
    error_message: expect.stringMatching(/timed_out, exec_timeout/),
  })
  expect(await witness.lines()).toEqual([])
}, 60_000)

test('a host that refuses, one that nobody knows, and a log-in that fails: none has started anything', async () => {
  const { host, execute } = await open()
  const away = { success: false, stdout: '', stderr: '', exit_code: null }
  const refused = await execute({ hostname: '127.0.2.1', port: 1, command: 'true' })
  expect(refused).toMatchObject(away)
  expect(refused.error_message).toMatch(/^The command was not started: unreachable, conn_refused, /)
  const stranger = await execute({ hostname: 'localhost', command: 'true' })
  expect(stranger).toMatchObject(away)
  const name = `${host.username}@localhost:${host.port}`
  expect(stranger.error_message).toMatch(/host_key_unknown, .* SHA256:[\w+/]{43}/)
  expect(stranger.error_message).toContain(`run "muster trust ${name}"`)
  const locked = await execute({ hostname: '127.0.2.2', key_path: null, password: 'kanarie-wrong-1', command: 'true' })
  expect(locked).toMatchObject(away)
  expect(locked.error_message).toMatch(/^The command was not started: unreachable, auth_failed, /)
  const elsewhere = await execute({ hostname: '127.0.2.3', key_path: '/etc/ssh/ssh_host_ed25519_key', command: 'true' })
  expect(elsewhere.error_message).toMatch(/auth_failed, .*MUSTER_ADHOC_KEY_DIRS/)
}, 90_000)

test('a command that outlasts the longest wait is no failure, and is followed to its end by its job', async () => {
  const { client, execute } = await open()
  const gate = await gateFile()
  const command = `echo waiting; while [ ! -e ${gate.path} ]; do sleep 0.1; done; echo done`
  const answer = await execute({ command, timeout: 600 })
  expect(answer).toMatchObject({ success: null, stdout: 'waiting\n', exit_code: null })
  expect(answer.error_message).toMatch(/it is running, and is killed 600 s after its start.* do not run it again/)
  await gate.open()
  const ended = await callTool(client, 'wait_job', { job_id: answer.job_id, wait_s: 45 })
  expect(ended.structured).toMatchObject({ state: 'succeeded' })
  const output = await callTool(client, 'get_output', { job_id: answer.job_id })
  expect(output.text).toContain('waiting\ndone')
}, 120_000)

test('sudo that asks for a password which is not given does not run the command', async () => {
  const { execute } = await open()
  const answer = await execute({ command: 'id -un', sudo: true, timeout: 10 })
  expect(answer).toMatchObject({ success: false, exit_code: null })
  expect(answer.error_message).toMatch(/^The command was not started: failed, sudo_(password_required|denied), /)
}, 60_000)

test('an output of megabytes is cut in an answer, and whole behind its job', async () => {
  const { client, execute } = await open()
  const answer = await execute({ command: 'seq 1 300000; printf "\\377end"' })
  expect(answer).toMatchObject({ success: true, stdout: expect.stringMatching(/^1\n2\n3\n(.|\n)*\ufffdend$/) })
  const left = answer.stdout_left_out_bytes ?? 0
  expect(left).toBeGreaterThan(1_800_000)
  expect(JSON.stringify(answer).length).toBeLessThan(50_000)
  expect(answer.stdout).toContain(`[${left} bytes are left out here`)
  const job = await callTool(client, 'get_job', { job_id: answer.job_id })
  // No call is advised that the profile does not have.
  expect(job.structured).toMatchObject({ state: 'succeeded', next: [{ tool: 'get_output' }] })
  const more = await callTool(client, 'get_output', { job_id: answer.job_id, grep: '^150000$' })
  expect(more).toMatchObject({ isError: false, text: expect.stringContaining('150000') })
}, 60_000)

test('directories of any name are listed; what is none, or is not there, is no empty directory', async () => {
  const { client, host, directory } = await open()
  const list = async (path: string) => {
    const { isError, structured } = await callTool(client, 'list_directory', { ...host, directory: path })
    expect(isError).toBe(false)
    return DirectoryLines.parse(structured)
  }
  const shared = await mkdtemp('/tmp/muster-rude-shared-')
  onTestFinished(() => rm(shared, { recursive: true, force: true }))
  const odd = join(shared, `dïr 日本 '"$(id)"; rm -rf x\n--`)
  await mkdir(odd, { mode: 0o755 })
  await writeFile(join(odd, '-rf ü'), 'abc', { mode: 0o644 })
  await mkdir(join(shared, 'empty'), { mode: 0o755 })
  await chmod(shared, 0o755)
  expect((await list(odd)).result).toEqual([
    expect.stringMatching(/^-rw-r--r-- \? \w+ \w+ 3 \w{3} \d+ \d\d:\d\d -rf ü$/),
  ])
  expect(await list(join(odd, '-rf ü'))).toMatchObject({ result: [expect.stringMatching(/^-rw/)], error_message: null })
  expect(await list(join(shared, 'empty'))).toMatchObject({ result: [], error_message: null })
  const missing = await list(join(shared, 'not there'))
  expect(missing.result).toEqual([`Error: ${missing.error_message}`])
  expect(missing.error_message).toContain('No such file or directory')
  const denied = await list(directory)
  expect(denied.result).toEqual([expect.stringMatching(/^Error: .*Permission denied/)])
}, 60_000)
