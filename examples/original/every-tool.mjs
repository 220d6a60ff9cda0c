#!/usr/bin/env node
/**
 * Tries every tool of the profile `original` on one host, as the client of the script did that they come from.
 *
 *   MUSTER_URL=http://127.0.0.1:7420 MUSTER_API_KEY=mst_... SSH_HOST=10.0.0.5 SSH_USER=root SSH_PASSWORD=... \
 *     node examples/original/every-tool.mjs
 *
 * SSH_PORT and SSH_KEY_PATH (a file on the machine of the worker) are taken too, and SUDO_PASSWORD if sudo is to be
 * tried. Without SSH_HOST it takes the first host of the inventory, such as one of `npm run demo -- --keep`.
 *
 * Ends with 1 when a tool did not answer as it should.
 */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'

const { MUSTER_URL = 'http://127.0.0.1:7420', MUSTER_API_KEY = '' } = process.env
const { SSH_HOST, SSH_PORT = '22', SSH_USER, SSH_PASSWORD, SSH_KEY_PATH, SUDO_PASSWORD } = process.env

const client = new Client({ name: 'muster-example', version: '1' })
await client.connect(
  new StreamableHTTPClientTransport(new URL('/mcp?tools=original', MUSTER_URL), {
    requestInit: { headers: { authorization: `Bearer ${MUSTER_API_KEY}` } },
  }),
)

/** Calls a tool, and prints the answer under a heading. */
async function use(heading, name, fields) {
  console.log(`\n${heading}`)
  const { content, structuredContent, isError } = await client.callTool({ name, arguments: fields })
  // The request itself was refused: the text says which field, and what to do.
  if (isError) throw new Error(content.map((part) => part.text).join('\n'))
  console.log(JSON.stringify(structuredContent, null, 2))
  return structuredContent
}

/** Waits for the end of a command that was still running when its answer came. */
async function settled({ success, job_id }) {
  while (success === null && job_id !== null) {
    const job = await use('   It goes on; waiting for its end', 'wait_job', { job_id, wait_s: 45 })
    if (job.next_poll_s === null) return job.state === 'succeeded'
  }
  return success === true
}

let failures = 0
function check(isRight, what) {
  if (isRight) return
  failures += 1
  console.log(`   Not as expected: ${what}`)
}

try {
  const { hosts = [] } = await use('Hosts of the inventory', 'list_hosts', { limit: 1 })
  const [first] = hosts
  const host =
    SSH_HOST === undefined && first !== undefined
      ? { hostname: first.address, port: first.port ?? 22, username: first.user }
      : { hostname: SSH_HOST, port: SSH_PORT, username: SSH_USER, password: SSH_PASSWORD, key_path: SSH_KEY_PATH }

  const test = await use('1. The connection', 'test_ssh_connection', host)
  check(test.success === true, test.message)

  const command = { ...host, command: 'uname -a', timeout: 10 }
  const uname = await use('2. A command', 'execute_remote_command', command)
  check(await settled(uname), uname.error_message)

  const disks = await use('3. Disk usage', 'check_disk_usage', host)
  check(disks.error === undefined, disks.error)

  const listed = await use('4. A directory', 'list_directory', { ...host, directory: '/' })
  check(listed.error_message === null, listed.error_message)
  for (const line of listed.result) console.log(`   ${line}`)

  if (first !== undefined) {
    const named = { server_name: first.name, command: 'id -un' }
    const id = await use('5. A named server', 'execute_on_named_server', named)
    check(await settled(id), id.error_message)
  }

  if (SUDO_PASSWORD !== undefined) {
    const asRoot = { ...host, command: 'id -un', sudo: true, sudo_password: SUDO_PASSWORD }
    const root = await use('6. As root', 'execute_remote_command', asRoot)
    check(root.stdout === 'root\n', root.error_message)
  }

  const failing = await use('7. A command that fails', 'execute_remote_command', { ...host, command: 'exit 3' })
  check(failing.success === false && failing.exit_code === 3, failing.error_message)

  const slow = { ...host, command: 'sleep 60', timeout: 1 }
  const killed = await use('8. A command that takes too long is killed', 'execute_remote_command', slow)
  check(killed.success === false && killed.exit_code === null, killed.error_message)
} finally {
  await client.close()
}
console.log(failures === 0 ? '\nEvery tool answered as it should.' : `\n${failures} answers were not as expected.`)
process.exitCode = failures === 0 ? 0 : 1
