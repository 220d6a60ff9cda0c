/** The causes for which a command is stopped, each told as what it is; and what does not stop it. */
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { dial, reach, run, sshdHost } from '../../../support/ssh/ssh.ts'

describe('a command that is silent for too long', () => {
  test('is killed, and told from one that runs too long', async () => {
    const end = await run(await reach(), 'echo a; exec sleep 100', { idleTimeoutMs: 500 })
    expect(end).toMatchObject({ state: 'timed_out', reason: 'idle_timeout', remote: 'ended', out: 'a\n' })
  })

  test('is killed though it never said a word', async () => {
    const end = await run(await reach(), 'exec sleep 100', { idleTimeoutMs: 500 })
    expect(end).toMatchObject({ state: 'timed_out', reason: 'idle_timeout', remote: 'ended', out: '' })
  })

  test.each(['', ' >&2'])('is none as long as something comes ("echo x%s")', async (where) => {
    const command = `for i in 1 2 3 4 5 6 7 8 9 10; do echo x${where}; sleep 0.3; done`
    expect(await run(await reach(), command, { idleTimeoutMs: 2_000 })).toMatchObject({ state: 'succeeded' })
  })

  test('is none while it waits for the receiver of its output', async () => {
    const waits = [1_500]
    const end = await run(await reach(), 'head -c 8000000 /dev/zero', {
      idleTimeoutMs: 700,
      outputLimitBytes: 16_000_000,
      onOutput: async () => void (await delay(waits.pop() ?? 0)),
    })
    expect(end).toMatchObject({ state: 'succeeded', stdout: { bytes: 8_000_000 } })
  })
})

describe('the end of the job', () => {
  test('stops its commands as timed out', async () => {
    const stop = new AbortController()
    const end = await run(await reach(), 'echo a; exec sleep 100', {
      signal: stop.signal,
      onOutput: () => stop.abort('job_timeout'),
    })
    expect(end).toMatchObject({ state: 'timed_out', reason: 'job_timeout', remote: 'ended' })
  })

  test('keeps commands from being sent, and hosts from being reached', async () => {
    const signal = AbortSignal.abort('job_timeout')
    const skipped = { reason: 'job_timeout', isRetryable: false }
    const end = await run(await reach(), 'echo ran', { signal })
    expect(end).toMatchObject({ ...skipped, state: 'skipped', remote: 'not_started', out: '' })
    expect(await dial(sshdHost(), { signal })).toMatchObject({ ...skipped, ok: false })
  })

  test.each(['shutdown', 'fenced', undefined])('is not meant by an abort for another reason (%s)', async (reason) => {
    const signal = AbortSignal.abort(reason)
    const cancelled = { state: 'cancelled', reason: 'cancelled_by_user', isRetryable: false }
    expect(await run(await reach(), 'echo ran', { signal })).toMatchObject(cancelled)
  })
})
