/** Commands that misbehave, on a real sshd: each ends in the state that can be proven, and nothing hangs. */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, onTestFinished, test } from 'vitest'
import { membersOf, untilNone } from '../../../support/runtime/processes.ts'
import { reach, reachOverRelay, reachOwnSshd, run } from '../../../support/ssh/ssh.ts'
import { descendantsOf } from '../../../support/ssh/sshd.ts'

/** Ends one process of a test. */
async function end(pid: number): Promise<void> {
  const connection = await reach()
  await run(connection, `kill -s KILL ${pid}`)
  connection.close()
}

describe('a command that is stopped and', () => {
  test.each([
    ['whose child ignores TERM', 'echo $$; (trap "" TERM; while :; do sleep 1; done) & wait'],
    ['that forks all the time', 'echo $$; while :; do (sleep 0.05; :) & sleep 0.01; done'],
    ['that forks twice, so that its child is an orphan', 'echo $$; ( (sleep 1000; :) & ); sleep 1000'],
    [
      'that answers TERM by starting others',
      `echo $$; trap 'sleep 1000 & sleep 1000 & wait' TERM; while :; do sleep 0.1; done`,
    ],
  ])('%s is gone with all of its process group', async (_title, command) => {
    // Long enough for several looks in which the command itself is dead and its children are not.
    const told = await run(await reach(), command, { execTimeoutMs: 500, killGraceMs: 3_000 })
    expect(told).toMatchObject({ state: 'timed_out', reason: 'exec_timeout', remote: 'ended' })
    expect(await membersOf(Number(told.out))).toEqual([])
  })

  test('that put a process into its own session leaves it running: it is out of reach, and not claimed', async () => {
    const command = 'setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo $! $$; sleep 1000'
    const told = await run(await reach(), command, { execTimeoutMs: 500 })
    const [strayed = 0, pid = 0] = told.out.split(' ').map(Number)
    onTestFinished(() => end(strayed))
    expect(told).toMatchObject({ state: 'timed_out', remote: 'ended', outputComplete: true })
    expect(told.detail).toContain('nothing of its process group is left')
    expect([await membersOf(pid), await membersOf(strayed)]).toEqual([[], ['sleep 1000']])
  })
})

describe('a command that', () => {
  test('closes its output and goes on is followed to its end', async () => {
    const told = await run(await reach(), 'echo a; exec >&- 2>&-; sleep 1; exit 7')
    expect(told).toMatchObject({
      state: 'failed',
      reason: 'exit_nonzero',
      exitCode: 7,
      out: 'a\n',
      outputComplete: true,
    })
  })

  test('closes its output and goes on can be stopped', async () => {
    const told = await run(await reach(), 'echo $$; exec >&- 2>&- <&-; sleep 1000; :', { execTimeoutMs: 500 })
    expect(told).toMatchObject({ state: 'timed_out', remote: 'ended' })
    expect(await membersOf(Number(told.out))).toEqual([])
  })

  test('prints nothing has no output, and is no less a success', async () => {
    const told = await run(await reach(), 'sleep 0.5')
    expect(told).toMatchObject({ state: 'succeeded', out: '', err: '', outputComplete: true })
    expect([told.stdout.bytes, told.stderr.bytes]).toEqual([0, 0])
  })

  test('prints 10 GB is stopped at 64 MiB, and costs no memory here', async () => {
    const connection = await reach()
    // Only what is still held counts, and not what nobody has collected yet.
    setFlagsFromString('--expose-gc')
    const collect: () => void = runInNewContext('gc')
    const heldBytes = () => {
      collect()
      const { heapUsed, external } = process.memoryUsage()
      return heapUsed + external
    }
    const beforeBytes = heldBytes()
    let mostBytes = beforeBytes
    const look = setInterval(() => {
      mostBytes = Math.max(mostBytes, heldBytes())
    }, 50)
    onTestFinished(() => clearInterval(look))
    const told = await run(connection, 'echo $$ >&2; yes | head -c 10000000000; echo over')
    expect(told).toMatchObject({ state: 'failed', reason: 'output_limit', remote: 'ended' })
    expect(told.stdout.bytes).toBeGreaterThan(64 * 1024 * 1024)
    // It goes on until the kill arrives.
    expect(told.stdout.bytes).toBeLessThan(1024 * 1024 * 1024)
    expect(mostBytes - beforeBytes).toBeLessThan(40 * 1024 * 1024)
    expect(await membersOf(Number(told.err))).toEqual([])
  })

  test('kills all of its group, its own shell too, has ended by that signal', async () => {
    expect(await run(await reach(), 'sleep 1000 & kill -s KILL 0')).toMatchObject({
      state: 'failed',
      reason: 'signal',
      remote: 'ended',
      exitCode: null,
      signal: 'KILL',
    })
  })

  test('returns 255 has failed, and its host was reached', async () => {
    const told = await run(await reach(), 'exit 255')
    expect(told).toMatchObject({ state: 'failed', reason: 'exit_nonzero', remote: 'ended', exitCode: 255 })
    expect(told.isRetryable).toBe(false)
  })

  test('takes its whole host down with it is lost', async () => {
    const { facts, connection } = await reachOwnSshd()
    const told = await run(connection, 'echo going down; exec sleep 1000', {
      onOutput: async () => {
        for (const pid of [facts.pid, ...(await descendantsOf(facts.pid))]) process.kill(pid, 'SIGKILL')
      },
    })
    expect(told).toMatchObject({ state: 'lost', reason: 'conn_lost', remote: 'unknown', exitCode: null, signal: null })
    expect(told).toMatchObject({ out: 'going down\n', outputComplete: false, isRetryable: false })
  })

  test('ignores TERM on a connection that is lost before KILL is killed all the same, but not confirmed', async () => {
    const { relay, connection } = await reachOverRelay()
    const command = `trap 'echo asked' TERM; echo $$; while :; do sleep 0.1; done`
    const told = await run(connection, command, {
      execTimeoutMs: 500,
      killGraceMs: 1_500,
      onOutput: (_stream, bytes) => {
        if (`${bytes}`.includes('asked')) relay.cut()
      },
    })
    expect(told).toMatchObject({ state: 'lost', reason: 'kill_unconfirmed', remote: 'unknown' })
    await untilNone(() => membersOf(Number.parseInt(told.out, 10)))
  })
})

describe('what a command has left in the background', () => {
  test('is not waited for while it goes on writing', async () => {
    const told = await run(await reach(), '(for i in $(seq 50); do echo x; sleep 0.1; done) & echo $!; exit 3')
    expect(told).toMatchObject({ state: 'failed', exitCode: 3, outputComplete: false })
  })

  test('is not waited for however fast it writes', async () => {
    const told = await run(await reach(), 'yes & echo $!; exit 3')
    await end(Number.parseInt(told.out, 10))
    expect(told).toMatchObject({ state: 'failed', exitCode: 3, outputComplete: false })
    expect(told.stdout.bytes).toBeLessThan(64 * 1024 * 1024)
  })

  test('is waited for as long as it needs less than 2 s', async () => {
    const told = await run(await reach(), '(sleep 1; echo last) & echo first; exit 3')
    expect(told).toMatchObject({ state: 'failed', exitCode: 3, out: 'first\nlast\n', outputComplete: true })
  })
})
