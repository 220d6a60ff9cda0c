/** Tests with wrong dates leave nothing in shared memory, although they kill their processes. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { FAKETIME, removeSharedMemory, wrongBy } from '../../support/stack/skewed-clock.ts'

test.skipIf(FAKETIME === undefined)(
  'what libfaketime keeps for a process goes after the process was killed',
  async () => {
    const child = spawn('sleep', ['60'], { stdio: 'ignore', env: { PATH: process.env.PATH, ...wrongBy(3_600) } })
    const kept = () => readdirSync('/dev/shm').filter((name) => name.endsWith(`_${child.pid}`))
    await expect.poll(kept, { timeout: 10_000 }).not.toEqual([])
    removeSharedMemory()
    expect(kept(), 'that of a process that lives stays').not.toEqual([])
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(kept()).not.toEqual([])
    removeSharedMemory()
    expect(kept()).toEqual([])
  },
)
