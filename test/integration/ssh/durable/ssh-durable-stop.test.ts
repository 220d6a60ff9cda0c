/** How durable commands are stopped: by the clocks of their hosts, or on request over any connection. */

import { describe, expect, test } from 'vitest'
import type { FollowOptions } from '../../../../libs/ssh/src/durable/following.ts'
import { ask, dirOf, follow, newRun, told, type Watched } from '../../../support/ssh/durable.ts'
import { reach } from '../../../support/ssh/ssh.ts'

/** Ignores TERM, with a child that does too. */
const stubborn = 'trap "" TERM; (trap "" TERM; while :; do sleep 1; done) & while :; do sleep 1; done'
const limits = (execTimeoutMs: number, more: Partial<FollowOptions['limits']> = {}) => ({
  limits: { execTimeoutMs, killGraceMs: 200, ...more },
})
/** Whether anything of the command's group is alive. */
const isAlive = async (durable: Watched) => {
  const found = await ask(
    `read -r pid _ <${dirOf(durable)}/claim; ps -A -o pgid= -o stat= | grep -v Z | grep -c "^ *$pid "`,
  )
  return found !== '0'
}
/** Starts a command and lets go of it at once. */
const start = async (durable: Watched, command: string, options: Partial<FollowOptions> = {}) => {
  const detach = new AbortController()
  const followed = await follow(await reach(), durable, command, {
    ...options,
    signal: detach.signal,
    onStarted: () => detach.abort('detach'),
  })
  expect(followed).toMatchObject({ kind: 'disconnected' })
}

describe('the clock of the host', () => {
  test('ends a command that nobody follows, and who comes later is told', async () => {
    const durable = newRun()
    await start(durable, stubborn, limits(700))
    await expect.poll(() => isAlive(durable), { timeout: 10_000 }).toBe(false)
    const end = told(durable, await follow(await reach(), durable, undefined))
    expect(end).toMatchObject({ state: 'timed_out', reason: 'exec_timeout', remote: 'ended', signal: 'KILL' })
  })

  test('ends a command with all that ignores TERM', async () => {
    const durable = newRun()
    const end = told(durable, await follow(await reach(), durable, stubborn, limits(300)))
    expect(end).toMatchObject({ state: 'timed_out', reason: 'exec_timeout', remote: 'ended', signal: 'KILL' })
    expect(await isAlive(durable)).toBe(false)
  })

  test('lets a command clean up', async () => {
    const durable = newRun()
    const command = `trap 'echo cleaned; exit 9' TERM; sleep 60 & wait`
    const end = told(durable, await follow(await reach(), durable, command, limits(300, { killGraceMs: 5_000 })))
    expect(end).toMatchObject({ state: 'timed_out', exitCode: 9, out: 'cleaned\n', outputComplete: true })
  })

  test('ends a command that is silent for too long, and no other', async () => {
    const [silent, busy] = [newRun(), newRun()]
    const idle = limits(20_000, { idleTimeoutMs: 1_200 })
    const ended = told(silent, await follow(await reach(), silent, 'echo a; sleep 60', idle))
    expect(ended).toMatchObject({ state: 'timed_out', reason: 'idle_timeout', remote: 'ended', out: 'a\n' })
    const talk = 'for n in 1 2 3 4 5; do sleep 0.6; echo $n; done'
    expect(told(busy, await follow(await reach(), busy, talk, idle))).toMatchObject({ state: 'succeeded' })
  })

  test('can be raised while the command runs', async () => {
    const durable = newRun()
    let raise = (_ms: number) => {}
    const end = await follow(await reach(), durable, 'echo started; sleep 2.5; echo done', {
      ...limits(1_200),
      onRaise: (given) => {
        raise = given
        return () => {}
      },
      onStarted: () => raise(20_000),
    })
    expect(told(durable, end)).toMatchObject({ state: 'succeeded', out: 'started\ndone\n' })
  })

  test('is raised by a worker that comes with a higher limit, and never lowered', async () => {
    const durable = newRun()
    await start(durable, 'sleep 5; echo done', limits(4_000))
    await start(durable, 'true', limits(20_000))
    const end = told(durable, await follow(await reach(), durable, undefined, limits(100)))
    expect(end).toMatchObject({ state: 'succeeded', out: 'done\n' })
  })

  test('is replaced by that of this side when it has stopped', async () => {
    const durable = newRun()
    const command = `read -r keeper _ <${dirOf(durable)}/keeper; kill -s KILL -- -$keeper; sleep 60`
    const end = told(durable, await follow(await reach(), durable, command, limits(100)))
    expect(end).toMatchObject({ state: 'timed_out', reason: 'exec_timeout', remote: 'ended', exitCode: null })
    expect(await isAlive(durable)).toBe(false)
  })
})

describe('a durable command that writes without end is killed', () => {
  const hard = limits(20_000, { hardStopBytes: 1_000_000 })

  test('a command that writes without end is killed while it is followed', async () => {
    const durable = newRun()
    const end = told(durable, await follow(await reach(), durable, 'yes', hard))
    expect(end).toMatchObject({ state: 'failed', reason: 'output_limit', remote: 'ended' })
  })

  test('a command that writes without end is killed while nobody follows it', async () => {
    const durable = newRun()
    await start(durable, 'yes >&2', hard)
    await expect.poll(() => isAlive(durable), { timeout: 10_000 }).toBe(false)
    const end = told(durable, await follow(await reach(), durable, undefined, hard))
    expect(end).toMatchObject({ state: 'failed', reason: 'output_limit', remote: 'ended' })
  })
})

describe('a durable command that is cancelled', () => {
  test('over another connection than that which started it is dead, and that is confirmed', async () => {
    const durable = newRun()
    await start(durable, `echo out; ${stubborn}`)
    const cancel = new AbortController()
    const following = follow(await reach(), durable, undefined, {
      signal: cancel.signal,
      onStarted: () => cancel.abort('cancelled_by_user'),
    })
    expect(told(durable, await following)).toMatchObject({ state: 'cancelled', remote: 'ended', signal: 'KILL' })
    expect(await isAlive(durable)).toBe(false)
  })

  test('a durable command that the end of its job stops is timed out', async () => {
    const durable = newRun()
    const end = new AbortController()
    const options = { signal: end.signal, onStarted: () => end.abort('job_timeout') }
    const told_ = told(durable, await follow(await reach(), durable, 'sleep 60', options))
    expect(told_).toMatchObject({ state: 'timed_out', reason: 'job_timeout', remote: 'ended', signal: 'TERM' })
  })

  test('before anything was sent has not started', async () => {
    const followed = await follow(await reach(), newRun(), 'true', { signal: AbortSignal.abort() })
    expect(followed).toMatchObject({ kind: 'not_started', failure: { reason: 'cancelled_by_user' } })
  })

  test('a durable command that is cancelled before it was there never starts', async () => {
    const durable = newRun()
    const followed = await follow(await reach(), durable, undefined, { signal: AbortSignal.abort() })
    expect(followed).toMatchObject({ kind: 'not_started', failure: { reason: 'cancelled_by_user' } })
    expect(await ask(`cat ${dirOf(durable)}/claim`)).toBe('fenced')
  })

  test('a durable command that is cancelled after it has ended keeps its true end', async () => {
    const durable = newRun()
    await start(durable, 'sleep 1; exit 5')
    await expect.poll(() => ask(`ls ${dirOf(durable)}`)).toMatch(/^result$/m)
    const followed = await follow(await reach(), durable, undefined, { signal: AbortSignal.abort() })
    expect(told(durable, followed)).toMatchObject({ state: 'failed', exitCode: 5 })
  })

  test('though its number belongs to another process by now kills nobody', async () => {
    const durable = newRun()
    await start(durable, 'sleep 60')
    const stranger = await ask(
      `cd ${dirOf(durable)}; read -r pid start boot <claim; kill -s KILL -- -$pid
       until [ -e result ]; do sleep 0.1; done; rm -f result
       setsid sleep 60 >/dev/null 2>&1 & echo "$! $start $boot" >claim; echo $!`,
    )
    const followed = await follow(await reach(), durable, undefined, { signal: AbortSignal.abort() })
    expect(followed.kind).toBe('ended')
    expect(await ask(`ps -o stat= -p ${stranger} | grep -c -v Z; kill ${stranger}`)).toBe('1')
  })
})

test('the error of a receiver is thrown, and the command is dead by then', async () => {
  const durable = newRun()
  const broken = Object.assign(durable, { onOutput: () => Promise.reject(new Error('no room')) })
  await expect(follow(await reach(), broken, `echo out; ${stubborn}`)).rejects.toThrow('no room')
  expect(await isAlive(durable)).toBe(false)
})
