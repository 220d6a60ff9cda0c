/**
 * The profile `original` at a server without workers: which tools it has, what it refuses and how, what a key may read,
 * and what is answered of a command that has not ended, or of which nobody knows how.
 */
import { CommandResult, type Scope } from '@muster/contract'
import { listJobs } from '@muster/ledger'
import { expect, test } from 'vitest'
import { type Printed, printAndEnd } from '../../support/ledger/printed-run.ts'
import { CLIENTS, connectLegacySdk, connectModernSdk } from '../../support/mcp/mcp-clients.ts'
import { callTool } from '../../support/mcp/mcp-story.ts'
import { startTestServer } from '../../support/server/server.ts'

const INVENTORY = `
defaults: { user: deploy }
hosts: { "web[01-03]": { address: "10.0.0.[1-3]" }, db1: { address: 10.0.0.9, port: 2222 } }
`
const NAMED = { server_name: 'web01', command: 'uname -a' }
const REMOTE = { hostname: '10.0.0.1', username: 'deploy', command: 'uname -a' }
const LOOKS = ['test_ssh_connection', 'list_directory', 'check_disk_usage']
const REFUSED = { success: false, stdout: '', stderr: '', exit_code: null, job_id: null }

/** A server, and a client of its profile `original` with a key that has these scopes and limits. */
async function open(more: Partial<Parameters<Awaited<ReturnType<typeof startTestServer>>['makeKey']>[0]> = {}) {
  const server = await startTestServer({ inventoryYaml: INVENTORY, sealsSecrets: true })
  const { key } = await server.makeKey({ owner: 'first', ...more })
  const client = await connectModernSdk({ url: server.url, key, tools: 'original' }, 'auto')
  const use = (name: string, fields: Record<string, unknown>) => callTool(client, name, fields)
  return { server, use }
}

/** The answer for a command on web01 whose run ends like this while the caller waits. */
async function answerAfter(printed: Printed | undefined, scopes?: readonly Scope[]) {
  const { server, use } = await open(scopes === undefined ? {} : { scopes })
  const answer = use('execute_on_named_server', NAMED)
  const jobs = async () => (await listJobs(server.ledger, { limit: 1 })).jobs
  await expect.poll(async () => (await jobs()).length, { timeout: 20_000 }).toBe(1)
  const [job] = await jobs()
  // A server that closes answers those who wait with what is known.
  if (printed === undefined) await server.app.close()
  else await printAndEnd(server.ledger, job?.job_id ?? '', 0, printed)
  const { isError, structured } = await answer
  expect(isError).toBe(false)
  return CommandResult.parse(structured)
}

test.each(Object.entries(CLIENTS))('%s gets the tools of the profile that it names', async (_name, connect) => {
  const { url, key } = await startTestServer()
  const listed = async (tools?: string) => {
    const client = await connect({ url, key, ...(tools === undefined ? {} : { tools }) })
    return { ...(await client.listTools()), instructions: client.getInstructions() }
  }
  const [own, preset, usual] = [await listed('original'), await listed('default'), await listed()]
  expect(own.tools.map(({ name }) => name).slice(0, 2)).toEqual(['execute_remote_command', 'execute_on_named_server'])
  expect(own.instructions).toContain('execute_remote_command')
  expect(preset).toEqual(usual)
  expect(usual.tools.map(({ name }) => name)).not.toContain('execute_remote_command')
})

test.each(['mine', '', 'Original', 'original&tools=default'])(
  'a profile that is not there is refused: %j',
  async (tools) => {
    const { url, key, call } = await startTestServer()
    const told = /there is no set of tools .*; there are default and original/
    for (const connect of [
      connectLegacySdk,
      (door: Parameters<typeof connectLegacySdk>[0]) => connectModernSdk(door, 'auto'),
    ]) {
      await expect(connect({ url, key, tools })).rejects.toThrow(told)
    }
    const body = { jsonrpc: '2.0', id: 'seven', method: 'tools/list' }
    const answer = await call('POST', `/mcp?tools=${tools}`, { body })
    const message = expect.stringMatching(told)
    expect([answer.status, answer.body]).toEqual([
      400,
      { jsonrpc: '2.0', id: 'seven', error: { code: -32600, message } },
    ])
  },
)

test('what is no call of the tool is refused, naming the field, and starts nothing', async () => {
  const { server, use } = await open()
  const cases: [string, Record<string, unknown>, string][] = [
    ['execute_remote_command', {}, 'hostname: is missing'],
    ['execute_remote_command', { ...REMOTE, command: null }, 'command: is missing'],
    ['execute_remote_command', { ...REMOTE, hostname: '' }, 'hostname: '],
    ['execute_remote_command', { ...REMOTE, command: '' }, 'command: '],
    ['execute_remote_command', { ...REMOTE, username: 'a b' }, 'username: '],
    ['execute_remote_command', { ...REMOTE, hostname: ['10.0.0.1'] }, 'hostname: expected string'],
    ['execute_remote_command', { ...REMOTE, hostname: '10.0.0.1; id' }, 'hostname: received "10.0.0.1; id"'],
    ['execute_remote_command', { ...REMOTE, hostname: 'root@10.0.0.1' }, 'username: received deploy'],
    ['execute_remote_command', { ...REMOTE, port: 'ssh' }, 'port: expected number; received "ssh"'],
    ['execute_remote_command', { ...REMOTE, port: 70_000 }, 'port: '],
    ['execute_remote_command', { ...REMOTE, timeout: 0 }, 'timeout: '],
    ['execute_remote_command', { ...REMOTE, timeout: -1 }, 'timeout: '],
    ['execute_remote_command', { ...REMOTE, timeout: 1e9 }, 'timeout: '],
    ['execute_remote_command', { ...REMOTE, sudo: 'maybe' }, 'sudo: expected boolean'],
    ['execute_remote_command', { ...REMOTE, key_path: 'id_rsa' }, 'key_path: expected a path that begins with / or ~/'],
    ['execute_remote_command', { ...REMOTE, host: 'x' }, 'host: there is no such field'],
    ['list_directory', { ...REMOTE, command: 'x' }, 'command: there is no such field'],
    ['list_directory', { hostname: '10.0.0.1', username: 'deploy', directory: 'a\0b' }, 'directory: '],
  ]
  for (const [name, fields, text] of cases) {
    const answer = await use(name, fields)
    expect([name, fields, answer.isError, answer.text]).toEqual([
      name,
      fields,
      true,
      expect.stringMatching(`^invalid_request: `),
    ])
    expect(answer.text).toContain(text)
  }
  expect((await listJobs(server.ledger, { limit: 1 })).jobs).toEqual([])
})

test('a host that may not be named, or is not there, is an answer without success, as the script had it', async () => {
  const { server, use } = await open()
  const denied = 'MUSTER_ADHOC_HOSTS is off, so a request can name none'
  const elsewhere = { ...REMOTE, hostname: '192.0.2.1', username: 'root' }
  expect((await use('execute_remote_command', elsewhere)).structured).toEqual({
    ...REFUSED,
    error_message: expect.stringMatching(`^root@192.0.2.1: .*${denied}.*MUSTER_ADHOC_HOSTS`),
  })
  const { command: _command, ...host } = elsewhere
  const message = expect.stringContaining(denied)
  expect((await use('test_ssh_connection', host)).structured).toEqual({
    success: false,
    message,
    exit_code: null,
    job_id: null,
  })
  const error = expect.stringMatching(`^Error: .*${denied}`)
  expect((await use('list_directory', host)).structured).toEqual({
    result: [error],
    error_message: message,
    job_id: null,
  })
  expect((await use('check_disk_usage', host)).structured).toEqual({ error: message })
  for (const [server_name, told] of [
    ['web1', /^no such host in the inventory: web1; did you mean "web01"\? Correct the name, or add/],
    ['@web', /server_name: "@web" is not the name of one host of the inventory/],
    ['web01,web02', /is not the name of one host/],
    ['web*', /is not the name of one host/],
    ['root@web01', /is not the name of one host/],
  ] as const) {
    const named = await use('execute_on_named_server', { ...NAMED, server_name })
    expect([named.isError, named.structured]).toEqual([
      false,
      { ...REFUSED, error_message: expect.stringMatching(told) },
    ])
  }
  const other = await use('execute_remote_command', { ...REMOTE, hostname: 'db1', port: 2200 })
  expect(other.structured).toMatchObject({ error_message: expect.stringContaining('says that its port is 2222') })
  expect((await listJobs(server.ledger, { limit: 1 })).jobs).toEqual([])
})

test('a password for a host that the inventory has is refused in the words of the call', async () => {
  const { use } = await open()
  const answer = await use('execute_remote_command', { ...REMOTE, password: 'kanarie-3Fq8' })
  expect(answer).toMatchObject({ isError: true })
  expect(answer.text).toMatch(/^invalid_request: password and key_path: .* in the inventory.*leave both out/)
})

test('no secret is in an answer or a log, also where the call is refused', async () => {
  const { server, use } = await open()
  const SECRET = 'kanarie-original-7Yt5'
  const secrets = { password: SECRET, sudo_password: SECRET }
  const told = [
    await use('execute_remote_command', { ...REMOTE, ...secrets, sudo: true }),
    await use('execute_remote_command', { ...REMOTE, ...secrets, hostname: '192.0.2.1' }),
    await use('execute_remote_command', { ...REMOTE, ...secrets, password: `${SECRET}\n` }),
    await use('execute_remote_command', { ...REMOTE, ...secrets, password: [SECRET] }),
    await use('execute_on_named_server', { ...NAMED, ...secrets, server_name: 'web1' }),
    await use('test_ssh_connection', { hostname: '10.0.0.1', username: 'deploy', password: SECRET, port: 0 }),
  ]
  expect(told.map(({ isError }) => isError)).toEqual([true, false, true, true, true, true])
  expect(`${JSON.stringify(told)}${server.lines.join('')}`).not.toContain(SECRET)
})

test('a command that has not ended is neither a success nor a failure, and its job goes on', async () => {
  expect(await answerAfter(undefined)).toEqual({
    success: null,
    stdout: '',
    stderr: '',
    exit_code: null,
    job_id: expect.stringMatching(/^job_/),
    error_message: expect.stringMatching(/has not started yet \(queued\).* do not run it again: wait_job/),
  })
}, 60_000)

test('of a command that is lost nobody says that it failed', async () => {
  const lost = { state: 'lost', remote: 'unknown', reason: 'conn_lost', exitCode: null } as const
  expect(await answerAfter({ stdout: 'half\n', end: lost, complete: false })).toMatchObject({
    success: null,
    stdout: 'half\n',
    exit_code: null,
    error_message: expect.stringMatching(/^Nobody knows how the command ended .*conn_lost/),
  })
}, 60_000)

test('the beginning and the end of a long output are shown, and what is between them is counted', async () => {
  const line = (i: number) => `line ${i} wïth bytes\n`
  const whole = Array.from({ length: 5_000 }, (_, i) => line(i)).join('')
  const { stdout, stdout_left_out_bytes: left = 0, success } = await answerAfter({ stdout: whole, omittedBytes: 0 })
  expect(success).toBe(true)
  const gap = `\n[${left} bytes are left out here: get_output with the job_id shows what is kept of them]\n`
  const [head = '', tail = ''] = (stdout ?? '').split(gap)
  expect([whole.startsWith(head), whole.endsWith(tail), head.length > 4_000, tail.length > 15_000]).toEqual([
    true,
    true,
    true,
    true,
  ])
  expect(Buffer.byteLength(head) + Buffer.byteLength(tail) + left).toBe(Buffer.byteLength(whole))
  expect([head.at(-1), tail.startsWith('line ')]).toEqual(['\n', true])
}, 60_000)

test('output that is no UTF-8 has a mark for each byte that is none, and what was not kept is counted', async () => {
  const bytes = Buffer.from([0x61, 0xff, 0xfe, 0x62, 0x1b, 0x0a])
  expect(await answerAfter({ stdout: bytes, omittedBytes: 7 })).toMatchObject({
    stdout: expect.stringMatching(/^a\ufffd\ufffdb\\x1b\n\n\[7 bytes are left out here/),
    stdout_left_out_bytes: 7,
  })
}, 60_000)

test.each([
  [['jobs:run'], { stdout: null, stderr: null, exit_code: null }],
  [['jobs:run', 'jobs:read'], { stdout: null, stderr: null, exit_code: 3 }],
  [['jobs:run', 'jobs:read', 'jobs:read:output'], { stdout: 'out\n', stderr: 'err\n', exit_code: 3 }],
] as const)(
  'a key with %j reads of a command what it may',
  async (scopes, told) => {
    const answer = await answerAfter({ stdout: 'out\n', stderr: 'err\n', exitCode: 3 }, scopes)
    expect(answer).toMatchObject({ success: false, ...told })
  },
  60_000,
)

test('a key is offered the tools that it may use, and held to its limits in the words of the tools', async () => {
  const { server, use } = await open({ limits: { max_exec_timeout_s: 10, no_sudo: true } })
  const long = await use('execute_on_named_server', { ...NAMED, timeout: 30 })
  expect([long.isError, long.text]).toEqual([true, expect.stringMatching(/^key_limit: timeout: 30 s was asked for/)])
  expect((await use('execute_on_named_server', { ...NAMED, sudo: true })).text).toMatch(/^key_limit: sudo: /)
  const looks = await server.makeKey({ owner: 'looks', scopes: ['hosts:inspect'] })
  const client = await connectModernSdk({ url: server.url, key: looks.key, tools: 'original' }, 'auto')
  expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(LOOKS)
  const denied = await callTool(client, 'execute_on_named_server', NAMED)
  expect([denied.isError, denied.text]).toEqual([true, expect.stringMatching(/^insufficient_scope: /)])
  // The preset timeout is within the limit of the key, so the call is accepted, and waits.
  const waiting = use('execute_on_named_server', NAMED)
  await expect.poll(async () => (await listJobs(server.ledger, { limit: 1 })).jobs[0]?.exec_timeout_s).toBe(10)
  await server.app.close()
  await waiting
}, 60_000)
