/** Daemons of the tests end with the process that started them, however it ends. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'

const SSHD = pathToFileURL('test/chaos/dist/support/ssh/sshd.js').href
const OWNER = `
import { startSshd } from ${JSON.stringify(SSHD)}
const { facts } = await startSshd()
console.log(facts.pid)
setInterval(() => {}, 1_000)
`

test.each(['SIGTERM', 'SIGKILL'] as const)('sshd ends with a test runner that gets %s', async (signal) => {
  const dir = await mkdtemp(join(tmpdir(), 'muster-owner-'))
  const owner = spawn(process.execPath, ['--input-type=module', '-e', OWNER], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, TMPDIR: dir },
  })
  const ended = once(owner, 'exit')
  const [line] = await once(owner.stdout, 'data')
  const pid = Number(String(line))
  onTestFinished(async () => {
    if (existsSync(`/proc/${pid}`)) process.kill(pid, 'SIGKILL')
    await rm(dir, { recursive: true, force: true })
  })
  expect(existsSync(`/proc/${pid}`)).toBe(true)
  owner.kill(signal)
  await ended
  await expect.poll(() => existsSync(`/proc/${pid}`), { timeout: 5_000 }).toBe(false)
})
