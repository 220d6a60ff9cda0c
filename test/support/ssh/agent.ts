/** An SSH agent of the test's own, gone at its end. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { endWithUs } from '../runtime/end-with-us.ts'

/** Starts an agent that holds these private keys, in this order. */
export async function startAgent(...keyFiles: string[]): Promise<{ socket: string; agent: ChildProcess }> {
  const dir = mkdtempSync(join(tmpdir(), 'muster-agent-'))
  const socket = join(dir, 'agent')
  const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: ['ignore', 'pipe', 'inherit'] })
  endWithUs(agent)
  onTestFinished(async () => {
    const ended = once(agent, 'exit')
    agent.kill()
    await ended
    rmSync(dir, { recursive: true })
  })
  await once(agent.stdout, 'data')
  const env = { SSH_AUTH_SOCK: socket, PATH: process.env.PATH }
  for (const file of keyFiles) execFileSync('ssh-add', ['-q', file], { env })
  return { socket, agent }
}
