/**
 * What people did with the script that the profile `original` is for, through whichever MCP client and transport: test
 * the connection, `uname -a`, disk usage, list a directory; by password, by key, on a named server, by sudo.
 */
import { CommandResult, DirectoryLines, DiskPercents, SshConnectionTest } from '@muster/contract'
import { expect } from 'vitest'
import { callTool, type StoryClient } from './mcp-story.ts'

/** The five, in the order in which the script had them; and what goes on where an answer ends. */
export const ORIGINAL_FIVE = [
  'execute_remote_command',
  'execute_on_named_server',
  'test_ssh_connection',
  'list_directory',
  'check_disk_usage',
]
const BESIDE = ['get_job', 'wait_job', 'get_output', 'cancel_job', 'list_jobs', 'list_hosts']

/** An account of a host that a request names, with all that it can be reached by; and its name in the inventory. */
export type StoryAccount = {
  readonly hostname: string
  readonly port: number
  readonly username: string
  readonly password: string
  /** As a request writes it. */
  readonly keyPath: string
  /** Absent: the inventory is empty. */
  readonly serverName?: string
}

/** Calls one of the five. A call that is refused fails the test. */
async function answerOf(client: StoryClient, name: string, fields: Record<string, unknown>): Promise<unknown> {
  const { isError, text, structured } = await callTool(client, name, fields)
  expect([isError, text]).toEqual([false, expect.any(String)])
  expect(JSON.parse(text)).toEqual(structured)
  return structured
}

/** Runs a command by one of the two tools that do. */
async function executed(client: StoryClient, name: string, fields: Record<string, unknown>) {
  return CommandResult.parse(await answerOf(client, name, fields))
}

/** The whole story. */
export async function runOriginalStory(client: StoryClient, account: StoryAccount): Promise<void> {
  const { tools } = await client.listTools()
  expect(tools.map(({ name }) => name)).toEqual([...ORIGINAL_FIVE, ...BESIDE])

  const { hostname, port, username, password, keyPath, serverName } = account
  const host = { hostname, port, username }
  for (const login of [{ password }, { key_path: keyPath }]) {
    const tested = await answerOf(client, 'test_ssh_connection', { ...host, ...login })
    expect(SshConnectionTest.parse(tested)).toMatchObject({
      success: true,
      exit_code: 0,
      message: expect.stringMatching(/^Connected to .* in \d+ ms\.$/),
    })

    const uname = await executed(client, 'execute_remote_command', { ...host, ...login, command: 'uname -a' })
    expect(uname).toEqual({
      success: true,
      stdout: expect.stringMatching(/^Linux .*\n$/),
      stderr: '',
      exit_code: 0,
      error_message: null,
      job_id: expect.stringMatching(/^job_/),
    })

    const { job_id, error, ...disks } = DiskPercents.parse(
      await answerOf(client, 'check_disk_usage', { ...host, ...login }),
    )
    expect([job_id, error]).toEqual([expect.stringMatching(/^job_/), undefined])
    expect(Object.values(disks)).toContainEqual(expect.stringMatching(/^\d+%$/))

    const directory = { ...host, ...login, directory: '/etc' }
    const listed = DirectoryLines.parse(await answerOf(client, 'list_directory', directory))
    expect(listed).toMatchObject({ error_message: null })
    expect(listed.result).toContainEqual(
      expect.stringMatching(/^-rw-r--r-- \S+ root root \d+ \w{3} \d+ [\d:]+ passwd$/),
    )
    const root = DirectoryLines.parse(await answerOf(client, 'list_directory', { ...host, ...login }))
    expect(root.result).toContainEqual(expect.stringMatching(/^drwxr-xr-x .* etc$/))
  }

  const asRoot = { command: 'id -un', sudo: true, sudo_password: password }
  const byRequest = await executed(client, 'execute_remote_command', { ...host, password, ...asRoot })
  expect(byRequest).toMatchObject({ success: true, stdout: 'root\n', exit_code: 0 })
  if (serverName === undefined) return
  const named = { server_name: serverName }
  const own = await executed(client, 'execute_on_named_server', { ...named, command: 'id -un' })
  expect(own).toMatchObject({ success: true, stdout: `${username}\n` })
  const byName = await executed(client, 'execute_on_named_server', { ...named, ...asRoot })
  expect(byName).toMatchObject({ success: true, stdout: 'root\n' })
}
