/** The profile `original`: its parameters and defaults are those of the script, and its answers say what is known. */
import { execFile } from 'node:child_process'
import { chmod, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import {
  BESIDE_ORIGINAL,
  type DirectoryList,
  type DiskUsage,
  isTerminalRun,
  MusterError,
  ORIGINAL_TOOLS,
  Reason,
  RunState,
  UNLESS_FORCED,
} from '@muster/contract'
import { describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { ORIGINAL_INSTRUCTIONS } from '../../../apps/server/src/mcp/instructions.ts'
import { directoryCommand, readDirectory } from '../../../apps/server/src/operations/looks/directory-program.ts'
import {
  errorMessageOf,
  successOf,
  toDirectoryLines,
  toDiskPercents,
} from '../../../apps/server/src/tools/original-answers.ts'
import { hostOfCall, inWordsOfCall, refusalOfHost } from '../../../apps/server/src/tools/original-host.ts'
import { wholeSchemasOf } from '../../../apps/server/src/tools/tool-schemas.ts'
import { tokensOf } from '../../support/mcp/mcp-client.ts'
import { ORIGINAL_FIVE } from '../../support/mcp/original-story.ts'

const run = promisify(execFile)

describe('the definitions', () => {
  const NONE = { default: null }
  const host = { hostname: {}, username: {} }
  const login = { password: NONE, key_path: NONE }
  const port = { port: { default: 22 } }
  const sudo = { sudo: { default: false }, sudo_password: NONE, timeout: { default: 30 } }
  const SIGNATURES = {
    execute_remote_command: { ...host, command: {}, ...port, ...login, ...sudo },
    execute_on_named_server: { server_name: {}, command: {}, ...sudo },
    test_ssh_connection: { ...host, ...port, ...login },
    list_directory: { ...host, directory: { default: '/' }, ...login, ...port },
    check_disk_usage: { ...host, ...login, ...port },
  } as const

  test.each(Object.entries(ORIGINAL_TOOLS))('of %s are those of the script', (name, { input, output }) => {
    const { inputSchema, outputSchema } = wholeSchemasOf(input, output)
    const signature = z.record(z.string(), z.record(z.string(), z.object({ default: z.unknown().optional() })))
    const expected = signature.parse(SIGNATURES)[name] ?? {}
    expect(Object.keys(inputSchema.properties)).toEqual(Object.keys(expected))
    expect(inputSchema.properties).toMatchObject(expected)
    const required = Object.keys(expected).filter((field) => expected[field]?.default === undefined)
    expect(inputSchema.required).toEqual(required)
    expect(JSON.stringify([inputSchema, outputSchema])).not.toContain('$ref')
  })

  test('together take less room than those of the default profile', () => {
    const listed = Object.entries(ORIGINAL_TOOLS).map(([name, { description, input, output }]) => {
      return { name, description, ...wholeSchemasOf(input, output) }
    })
    const tokens = tokensOf(JSON.stringify(listed))
    expect(tokens).toBeLessThan(2_500)
    expect(tokensOf(ORIGINAL_INSTRUCTIONS)).toBeLessThanOrEqual(200)
  })

  test('the instructions name tools and fields that the profile has', () => {
    const named = [...ORIGINAL_INSTRUCTIONS.matchAll(/\b[a-z]+(?:_[a-z]+)+\b/g)].map(([name]) => name)
    const known: string[] = [...ORIGINAL_FIVE, ...BESIDE_ORIGINAL, 'job_id', 'exit_code']
    expect(named.filter((name) => !known.includes(name))).toEqual([])
    expect(named.length).toBeGreaterThan(5)
  })
})

describe('the host of a call', () => {
  const call = { hostname: '10.0.0.5', username: 'root', port: 22, password: null, key_path: null }

  test.each([
    ['10.0.0.5', {}, 'root@10.0.0.5'],
    ['10.0.0.5', { port: 2222 }, 'root@10.0.0.5:2222'],
    ['10.0.0.5:2222', {}, 'root@10.0.0.5:2222'],
    ['root@10.0.0.5', {}, 'root@10.0.0.5'],
    ['ssh://root@10.0.0.5:2222', { port: 2222 }, 'root@10.0.0.5:2222'],
    ['Web01.Example.com.', {}, 'root@web01.example.com'],
    ['2001:db8::5', {}, 'root@[2001:db8::5]'],
    ['2001:DB8::5', { port: 2222 }, 'root@[2001:db8::5]:2222'],
    ['[2001:db8::5]:2222', {}, 'root@[2001:db8::5]:2222'],
  ])('%s with %j is %s', (hostname, more, targets) => {
    expect(hostOfCall({ ...call, hostname, ...more })).toEqual({ targets })
  })

  test('brings what logs in there, and nothing else', () => {
    const login = { password: 'p', key_path: '~/.ssh/id' }
    expect(hostOfCall({ ...call, ...login }).connect).toEqual({ password: 'p', identity_file: '~/.ssh/id' })
  })

  test.each([
    ['hostname', { hostname: '10.0.0.5; id' }],
    ['hostname', { hostname: 'web01,web02' }],
    ['hostname', { hostname: '@web' }],
    ['hostname', { hostname: 'web*' }],
    ['hostname', { hostname: '-oProxyCommand=id' }],
    ['username', { hostname: 'admin@10.0.0.5' }],
    ['port', { hostname: '10.0.0.5:2222', port: 2200 }],
  ])('is refused, naming %s: %j', (field, more) => {
    expect(() => hostOfCall({ ...call, ...more })).toThrow(
      expect.objectContaining({
        code: 'invalid_request',
        details: { field },
        message: expect.stringMatching(`^${field}: `),
      }),
    )
  })

  test('a refusal is in the words of the call, and one because of the host says what to do', () => {
    const told = (message: string, field: string) => {
      const error = new MusterError('invalid_request', message, { details: { field } })
      return inWordsOfCall(error, 'hostname')
    }
    const leave = told('connect: all these hosts are in the inventory; leave connect out', 'connect')
    expect(leave).toMatchObject({
      message: 'password and key_path: all these hosts are in the inventory; leave both out',
      details: { field: 'password and key_path' },
    })
    expect(told('exec_timeout_s: 60 s was asked for', 'exec_timeout_s')).toMatchObject({
      details: { field: 'timeout' },
    })
    expect(told('targets: no', 'targets')).toMatchObject({ message: 'hostname: no', details: { field: 'hostname' } })
    const unknown = new MusterError('unknown_target', 'no web1', { details: { nearest: ['web01'] } })
    expect(refusalOfHost(unknown)).toBe(
      'no web1. Correct the name, or add the host to the inventory. Nearest names: web01.',
    )
    expect(refusalOfHost(new MusterError('key_limit', 'no'))).toBeUndefined()
  })
})

describe('how a command ended', () => {
  const whole = { remote: 'ended', reason: null, detail: null, exit_code: null, output_complete: true } as const

  test.each(RunState.options)('%s is a success only if it is one, and said so where nobody knows', (state) => {
    const known = isTerminalRun(state) && state !== 'lost'
    expect(successOf(state)).toBe(state === 'succeeded' ? true : known ? false : null)
    const message = errorMessageOf({ ...whole, state }, 30)
    if (state === 'succeeded') expect(message).toBeNull()
    else expect(message).toMatch(isTerminalRun(state) ? state : /goes on by itself, so do not run it again/)
  })

  test('is told with its reason and detail, and with the exit code where there is one', () => {
    for (const reason of Reason.options) {
      const told = errorMessageOf({ ...whole, state: 'failed', reason, detail: 'because' }, 30)
      expect(told).toBe(`The command ended without success: failed, ${reason}, because.`)
    }
    const exit = { ...whole, state: 'failed', reason: 'exit_nonzero', detail: 'exit status 3', exit_code: 3 } as const
    expect(errorMessageOf(exit, 30)).toBe('The command exited with 3.')
    expect(errorMessageOf({ ...exit, output_complete: false }, 30)).toContain('may have printed more')
    const away = { ...whole, state: 'unreachable', remote: 'not_started', reason: 'auth_failed' } as const
    expect(errorMessageOf(away, 30)).toBe('The command was not started: unreachable, auth_failed.')
    expect(errorMessageOf({ ...whole, state: 'running' }, 30)).toContain('is killed 30 s after its start')
    // No tool of the profile takes what would force it.
    const barred = `not tried before noon ${UNLESS_FORCED.asField}`
    const skipped = {
      ...whole,
      state: 'skipped',
      remote: 'not_started',
      reason: 'breaker_open',
      detail: barred,
    } as const
    expect(errorMessageOf(skipped, 30)).toBe(
      'The command was not started: skipped, breaker_open, not tried before noon.',
    )
  })
})

test('the lines of a directory are those of ls -la, but for the number of links, "." and ".."', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'muster-lines-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const now = new Date()
  const modes = [0o644, 0o755, 0o4755, 0o2644, 0o7000, 0o000]
  for (const mode of modes) {
    const file = join(directory, `mode ${mode.toString(8)} ü`)
    await writeFile(file, 'x'.repeat(mode))
    await chmod(file, mode)
  }
  await mkdir(join(directory, 'sticky'))
  await chmod(join(directory, 'sticky'), 0o1777)
  await symlink('no where', join(directory, 'link'))
  await utimes(join(directory, 'mode 644 ü'), 1_000_000_000, 1_000_000_000)
  const env = { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' }
  const [program = '', ...args] = directoryCommand(directory, 100, undefined)
  const printed = await run(program, args, { env, encoding: 'buffer' })
  const read = readDirectory(printed.stdout, undefined)
  const entries = (read?.entries ?? []).map(({ bytes: _bytes, ...entry }) => entry)
  const list: DirectoryList = {
    job_id: 'job_x',
    hosts: 1,
    answered: 1,
    not_ended: 0,
    problems: [],
    hosts_left_out: 0,
    groups: [{ hosts: 'web01', count: 1, is_directory: true, entries, total_entries: entries.length }],
  }
  const { result, error_message } = toDirectoryLines(list, now)
  const ls = (await run('ls', ['-la', directory], { env, encoding: 'utf8' })).stdout.trimEnd().split('\n')
  const columnsOf = (line: string) => line.replace(/ +/g, ' ').replace(/^(\S+) \S+/, '$1')
  const expected = ls.filter((line) => !/^total | \.\.?$/.test(line)).map(columnsOf)
  expect(result.map(columnsOf).toSorted()).toEqual(expected.toSorted())
  expect(result).toHaveLength(modes.length + 2)
  expect(error_message).toBeNull()
})

describe('an answer that is not whole', () => {
  const head = { job_id: 'job_x', hosts: 1, answered: 0, not_ended: 0 }
  const denied = { hosts: 'h', count: 1, state: 'failed', exit_code: 1, problem: 'ls: /root: Permission\ndenied' }

  test('of a directory: what went wrong is no empty directory, and what is left out is counted', () => {
    const list: DirectoryList = { ...head, problems: [denied], groups: [], hosts_left_out: 0 }
    expect(toDirectoryLines(list, new Date())).toEqual({
      result: ['Error: ls: /root: Permission denied'],
      error_message: 'ls: /root: Permission\ndenied',
      job_id: 'job_x',
    })
    const open = toDirectoryLines({ ...list, problems: [], not_ended: 1 }, new Date())
    expect(open.result).toEqual([expect.stringMatching(/^Error: No answer yet/)])
    const entries = [{ name: 'a\nb', type: 'file' }]
    const group = { hosts: 'h', count: 1, is_directory: true, entries, total_entries: 7 }
    expect(toDirectoryLines({ ...list, groups: [group] }, new Date())).toMatchObject({
      result: ['-????????? ? ? ? ? ? ? ? a b'],
      error_message: expect.stringMatching(/^The first 1 of 7 entries/),
    })
  })

  test('of disks: file systems of one name are told apart, and none is taken for what went wrong', () => {
    const disk = (filesystem: string, mount: string, used_percent: number) => {
      return {
        hosts: 'h',
        count: 1,
        size_bytes: 1,
        used_bytes: 1,
        available_bytes: 1,
        filesystem,
        mount,
        used_percent,
      }
    }
    const filesystems = [disk('/dev/sda1', '/', 42), disk('nas', '/a', 1), disk('nas', '/b', 2), disk('error', '/c', 3)]
    const usage: DiskUsage = { ...head, problems: [], filesystems, filesystems_left_out: 0 }
    const percents = { '/dev/sda1': '42%', 'nas on /a': '1%', 'nas on /b': '2%', 'error on /c': '3%' }
    expect(toDiskPercents(usage)).toEqual({ ...percents, job_id: 'job_x' })
    expect(toDiskPercents({ ...usage, filesystems_left_out: 3 })).toMatchObject({
      error: expect.stringMatching(/^3 less full/),
    })
    expect(toDiskPercents({ ...usage, problems: [denied], filesystems: [] })).toEqual({
      error: denied.problem,
      job_id: 'job_x',
    })
  })
})
