/** How commands on a real sshd are stopped, and what is said when they cannot be followed to their end. */
import { randomBytes } from 'node:crypto'
import { fixedKnownHosts } from '@muster/ssh'
import { describe, expect, onTestFinished, test } from 'vitest'
import { reach, run, sshdHost } from '../../../support/ssh/ssh.ts'
import { descendantsOf, startSshd } from '../../../support/ssh/sshd.ts'

describe('a command that runs too long', () => {
  /** Prints the ID of its process group first. */
  const stubborn = `echo $$; trap "" TERM; (trap "" TERM; while :; do sleep 1; done) & while :; do sleep 1; done`
  const isAlive = async (group: string) => {
    const { exitCode } = await run(await reach(), `ps -A -o pgid= -o stat= | grep -v Z | grep -q "^ *${group} "`)
    return exitCode === 0
  }

  test('is killed with its whole group, though it ignores TERM', async () => {
    const end = await run(await reach(), stubborn, { execTimeoutMs: 300 })
    expect(end).toMatchObject({ state: 'timed_out', reason: 'exec_timeout', remote: 'ended', signal: 'KILL' })
    expect(await isAlive(end.out.trim())).toBe(false)
  })

  test('may end by itself in the time between TERM and KILL', async () => {
    const command = `trap 'echo cleaned; exit 9' TERM; sleep 60 & wait`
    const end = await run(await reach(), command, { execTimeoutMs: 300, killGraceMs: 10_000 })
    expect(end).toMatchObject({ state: 'timed_out', exitCode: 9, out: 'cleaned\n', outputComplete: true })
  })

  test('is killed in its cleaning up when that takes too long', async () => {
    const command = `trap 'sleep 30' TERM; sleep 60 & wait; sleep 30`
    const end = await run(await reach(), command, { execTimeoutMs: 300, killGraceMs: 200 })
    expect(end).toMatchObject({ state: 'timed_out', reason: 'exec_timeout', remote: 'ended' })
  })

  test('is killed the same way when it is cancelled', async () => {
    const cancel = new AbortController()
    const end = await run(await reach(), stubborn, { signal: cancel.signal, onOutput: () => cancel.abort() })
    expect(end).toMatchObject({ state: 'cancelled', reason: 'cancelled_by_user', remote: 'ended' })
    expect(await isAlive(end.out.trim())).toBe(false)
  })

  test('is killed though its input was not read', async () => {
    const command = { form: { command: 'sleep 60' }, stdin: randomBytes(4_000_000) }
    expect(await run(await reach(), command, { execTimeoutMs: 300 })).toMatchObject({ state: 'timed_out' })
  })
})

describe('a command that is cancelled', () => {
  test('a command that is cancelled before it was sent has not started', async () => {
    const end = await run(await reach(), 'echo ran', { signal: AbortSignal.abort() })
    expect(end).toMatchObject({ state: 'cancelled', reason: 'cancelled_by_user', remote: 'not_started', out: '' })
  })

  test('right after it was sent is stopped all the same', async () => {
    const connection = await reach()
    for (const waitMs of [0, 1, 2, 4, 8, 16]) {
      const cancel = new AbortController()
      const running = run(connection, 'sleep 60', { signal: cancel.signal })
      setTimeout(() => cancel.abort(), waitMs)
      const end = await running
      expect(end).toMatchObject({ state: 'cancelled', remote: expect.stringMatching(/^(not_started|ended)$/) })
    }
  })

  test('a command that is cancelled after it has ended keeps its true end', async () => {
    const cancel = new AbortController()
    const end = await run(await reach(), 'sleep 30 & echo $!; exit 5', {
      signal: cancel.signal,
      onOutput: () => void setTimeout(() => cancel.abort(), 1_000),
    })
    expect(end).toMatchObject({ state: 'failed', reason: 'exit_nonzero', exitCode: 5 })
    await run(await reach(), `kill ${end.out}`)
  })
})

test('a background child that holds the output does not hold the end, and the output is shown incomplete', async () => {
  const end = await run(await reach(), 'sleep 30 & echo $!')
  expect(end).toMatchObject({ state: 'succeeded', exitCode: 0, outputComplete: false })
  await run(await reach(), `kill ${end.out}`)
})

test('a background child that goes on writing does not hold the end either', async () => {
  const end = await run(await reach(), '(while :; do echo x; sleep 0.2; done) & echo $!')
  expect(end).toMatchObject({ state: 'succeeded', exitCode: 0, outputComplete: false })
  await run(await reach(), `kill ${end.out.split('\n')[0]}`)
})

test('a command whose session is killed on the host is lost, and nobody says that it failed', async () => {
  const own = await startSshd()
  onTestFinished(() => own.close())
  const { facts } = own
  const connection = await reach(sshdHost({}, facts), { knownHosts: fixedKnownHosts(facts.knownHosts) })
  const end = await run(connection, 'echo started; exec sleep 5', {
    onOutput: async () => {
      // The session's own processes; the command lives on, as it does when a network is gone.
      const [session = 0, worker = 0] = await descendantsOf(facts.pid)
      for (const pid of [session, worker]) process.kill(pid, 'SIGKILL')
    },
  })
  expect(end).toMatchObject({ state: 'lost', reason: 'conn_lost', remote: 'unknown', exitCode: null })
  expect(end).toMatchObject({ out: 'started\n', outputComplete: false })
  expect(connection.isOpen()).toBe(false)
  expect(await run(connection, 'true')).toMatchObject({ state: 'unreachable', remote: 'not_started' })
})
