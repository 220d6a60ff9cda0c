/** A worker picks the one key of its agent that the inventory names by its public half. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, inject, onTestFinished, test } from 'vitest'
import { startAgent } from '../../support/ssh/agent.ts'
import { startStack } from '../../support/stack/stack.ts'

test('a host whose identity_file is, or has beside it, a .pub file is reached with that agent key', async () => {
  const { port, user, keys, knownHosts } = inject('sshd')
  const dir = mkdtempSync(join(tmpdir(), 'muster-agent-key-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  const others = Array.from({ length: 7 }, (_, i) => join(dir, `other${i}`))
  for (const file of others) execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file])
  copyFileSync(`${keys.ed25519}.pub`, join(dir, 'held.pub'))
  const { socket } = await startAgent(...others, keys.ed25519)
  const inventory = [
    `defaults: { user: ${user}, port: ${port} }`,
    'hosts:',
    `  public: { address: 127.0.1.1, identity_file: ${dir}/held.pub }`,
    `  absent: { address: 127.0.1.2, identity_file: ${dir}/held, agent: true }`,
    `  lacking: { address: 127.0.1.3, identity_file: ${keys.encrypted.file} }`,
    '',
  ].join('\n')
  const stack = await startStack({ inventory, knownHosts, env: { SSH_AUTH_SOCK: socket } })
  const { job_id: jobId } = await stack.submit({ targets: '@*', command: 'true' })
  const { counts, problems } = await stack.ended(jobId)
  expect(counts).toMatchObject({ succeeded: 2, unreachable: 1 })
  const detail = expect.stringContaining(`the agent ${socket} does not hold it`)
  expect(problems).toMatchObject([{ hosts: 'lacking', reason: 'auth_failed', detail }])
})
