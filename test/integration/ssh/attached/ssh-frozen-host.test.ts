/** Hosts that stop in the middle of a command, or have no second channel to give. */
import { describe, expect, onTestFinished, test } from 'vitest'
import { membersOf, watchdogsOf } from '../../../support/runtime/processes.ts'
import { reachOwnSshd, run } from '../../../support/ssh/ssh.ts'
import { descendantsOf } from '../../../support/ssh/sshd.ts'

describe('a host that freezes in the middle of a command', () => {
  const freeze = async (options: Parameters<typeof reachOwnSshd>[1] = {}) => {
    const { facts, connection } = await reachOwnSshd([], options)
    let sessions: number[] = []
    const signalAll = (signal: NodeJS.Signals) => sessions.map((pid) => process.kill(pid, signal))
    onTestFinished(() => void signalAll('SIGCONT'))
    const onOutput = async () => {
      // The processes that serve the connection, now that the log-in is over; the daemon itself is not asked any more.
      sessions = (await descendantsOf(facts.pid)).slice(0, 2)
      signalAll('SIGSTOP')
    }
    return { connection, onOutput }
  }

  test('cannot be asked to kill it: that is said, and in time', async () => {
    const { connection, onOutput } = await freeze()
    const end = await run(connection, 'echo a; exec sleep 30', {
      execTimeoutMs: 1_000,
      channelTimeoutMs: 500,
      onOutput,
    })
    expect(end).toMatchObject({ state: 'lost', reason: 'kill_unconfirmed', remote: 'unknown', out: 'a\n' })
    expect(end.detail).toContain('the host itself ends it')
  })

  test('is noticed by the connection, long before the limit of the command', async () => {
    const { connection, onOutput } = await freeze({ keepaliveMs: 1_000 })
    const end = await run(connection, 'echo a; exec sleep 100', { execTimeoutMs: 600_000, onOutput })
    expect(end).toMatchObject({ state: 'lost', reason: 'conn_lost', remote: 'unknown', out: 'a\n' })
    expect(connection.isOpen()).toBe(false)
  })
})

describe('a host that has no second channel to give', () => {
  test.each([
    ['that ends by TERM', 'echo $$; exec sleep 1000', 'TERM'],
    ['that ignores TERM', 'echo $$; trap "" TERM; (sleep 1000; :) & while :; do sleep 1; done', 'KILL'],
  ])('lets a command be killed and looked for %s', async (_title, command, signal) => {
    const { connection } = await reachOwnSshd(['MaxSessions 1'])
    const end = await run(connection, command, { execTimeoutMs: 500, killGraceMs: 500 })
    expect(end).toMatchObject({ state: 'timed_out', reason: 'exec_timeout', remote: 'ended', signal })
    expect([await membersOf(Number(end.out)), await watchdogsOf(Number(end.out))]).toEqual([[], []])
    expect(await run(connection, 'echo b')).toMatchObject({ state: 'succeeded', out: 'b\n' })
  })
})
