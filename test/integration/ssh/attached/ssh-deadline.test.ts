/**
 * The deadline of a command on the host itself, which ends it when nobody else is there to do it; and limits that are
 * raised while a command runs.
 */
import { chmod, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { membersOf, untilNone, watchdogsOf } from '../../../support/runtime/processes.ts'
import { reach, reachOverRelay, reachOwnSshd, run } from '../../../support/ssh/ssh.ts'

/** Prints its process ID, which is that of its group, and cannot be ended by TERM. */
const STUBBORN = 'echo $$; trap "" TERM; (while :; do sleep 1; done) & while :; do sleep 1; done'

describe('a command whose network is lost', () => {
  const lose = async (command: string, overRelay: ReturnType<typeof reachOverRelay>) => {
    const { relay, connection } = await overRelay
    const end = await run(connection, command, { execTimeoutMs: 500, onOutput: () => relay.cut() })
    expect(end).toMatchObject({ state: 'lost', reason: 'conn_lost', remote: 'unknown', isRetryable: false })
    expect(end.detail).toContain('the host itself ends it')
    return Number(end.out)
  }

  test('runs on, is ended by the host at its deadline, and nothing stays behind', async () => {
    const pids = await Promise.all([
      lose(STUBBORN, reachOverRelay()),
      lose('echo $$; exec sleep 1000', reachOverRelay()),
    ])
    for (const pid of pids) expect([await membersOf(pid), await watchdogsOf(pid)]).not.toContainEqual([])
    for (const pid of pids) {
      await untilNone(() => membersOf(pid))
      await untilNone(() => watchdogsOf(pid))
    }
  })

  test('is ended by its deadline even without setsid, and by us', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'muster-bin-'))
    onTestFinished(() => rm(dir, { recursive: true }))
    await chmod(dir, 0o755)
    for (const name of ['head', 'sleep', 'ps', 'grep', 'sed']) await symlink(`/usr/bin/${name}`, join(dir, name))
    await symlink('/bin/bash', join(dir, 'sh'))
    const { facts, connection } = await reachOwnSshd([`SetEnv PATH=${dir}`])
    const lost = await lose(STUBBORN, reachOverRelay(facts))
    const stopped = await run(connection, STUBBORN, { execTimeoutMs: 300 })
    expect(stopped).toMatchObject({ state: 'timed_out', remote: 'ended' })
    expect(await membersOf(Number(stopped.out))).toEqual([])
    expect(await run(connection, 'echo $$; sleep 1.5')).toMatchObject({ state: 'succeeded', err: '' })
    await untilNone(() => membersOf(lost))
  })
})

describe('the watchdog of a command', () => {
  test('is gone after a kill', async () => {
    // In the middle of a pause of the watchdog, which would otherwise go away by itself.
    const end = await run(await reach(), STUBBORN, { execTimeoutMs: 3_300 })
    expect(end).toMatchObject({ state: 'timed_out', remote: 'ended' })
    expect(await watchdogsOf(Number(end.out))).toEqual([])
  })

  test('goes away after the end, and leaves alone what the command has left running', async () => {
    const end = await run(await reach(), 'sleep 60 >/dev/null 2>&1 & echo $! $$', { execTimeoutMs: 1_000 })
    expect(end).toMatchObject({ state: 'succeeded', outputComplete: true })
    const [child = 0, pid = 0] = end.out.split(' ').map(Number)
    await untilNone(() => watchdogsOf(pid))
    expect(await membersOf(pid)).toEqual(['sleep 60'])
    await run(await reach(), `kill ${child}`)
  })

  test('does not begin to wait when the command is over before it is up', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'muster-bin-'))
    onTestFinished(() => rm(dir, { recursive: true }))
    await chmod(dir, 0o777)
    const late = 'while [ -e "/proc/$5" ]; do /usr/bin/sleep 0.05; done; exec /usr/bin/setsid "$@"'
    const counted = `echo >>${dir}/pauses; exec /usr/bin/sleep "$@"`
    await writeFile(join(dir, 'setsid'), `#!/bin/sh\n[ -e ${dir}/early ] || { ${late}; }\nexec /usr/bin/setsid "$@"\n`)
    await writeFile(join(dir, 'sleep'), `#!/bin/sh\n${counted}\n`)
    for (const name of ['setsid', 'sleep']) await chmod(join(dir, name), 0o755)
    const { connection } = await reachOwnSshd([`SetEnv PATH=${dir}:/usr/bin:/bin`])
    const pauses = () => readFile(join(dir, 'pauses'), 'utf8').catch(() => '')
    const watched = async (command: string) => {
      const end = await run(connection, command)
      expect(end.state).toBe('succeeded')
      await untilNone(() => watchdogsOf(Number(end.out)))
    }
    await watched('echo $$')
    expect(await pauses()).toBe('')
    await writeFile(join(dir, 'early'), '')
    await watched(`echo $$; while [ ! -e ${dir}/pauses ]; do :; done`)
    expect(await pauses()).toBe('\n')
  })

  test('is not a child of the command, and has none of its streams, group or session', async () => {
    const connection = await reach()
    const perl = await run(connection, { form: { argv: ['perl', '-e', 'print wait()'] } })
    expect(perl).toMatchObject({ out: '-1', exitCode: 0 })
    const { out } = await run(
      connection,
      'echo $$; ps -o args= -s $$; ps -A -o args= | grep -c "[m]uster-watchdog $$ "',
    )
    expect(out).not.toContain('muster-watchdog ')
    expect(out).toMatch(/\n1\n$/)
  })
})

describe('a limit that is raised while the command runs', () => {
  const raised = async (connection: Parameters<typeof run>[0], command: string, limits: [number, ...number[]]) => {
    const [execTimeoutMs, ...later] = limits
    let raise = (_limitMs: number) => {}
    let isReleased = false
    const end = await run(connection, command, {
      execTimeoutMs,
      onRaise: (given) => {
        raise = given
        return () => {
          isReleased = true
        }
      },
      onOutput: () => {
        for (const limit of later) raise(limit)
      },
    })
    expect(isReleased).toBe(true)
    // Too late, and harmless.
    raise(1_000_000)
    return end
  }

  test('holds here and on the host, where the earlier deadline has passed', async () => {
    const [there, back] = await Promise.all([
      raised(await reach(), 'echo $$; sleep 14; echo done', [500, 30_000, 60_000]),
      raised(await reach(), 'echo $$; sleep 1; echo done', [5_000, 100]),
    ])
    for (const end of [there, back])
      expect(end).toMatchObject({ state: 'succeeded', out: expect.stringMatching('done') })
  })

  test('leaves one watchdog, and runs out in its turn', async () => {
    const look = 'sleep 2; ps -A -o args= | grep -c "[m]uster-watchdog $$ "'
    const end = await raised(await reach(), `echo $$; ${look}; exec sleep 100`, [500, 4_000])
    expect(end).toMatchObject({ state: 'timed_out', reason: 'exec_timeout', remote: 'ended' })
    const [pid, count] = end.out.split('\n').map(Number)
    expect([count, await watchdogsOf(Number(pid))]).toEqual([1, []])
  })

  test('but cannot be on the host is reported as the timeout that it is', async () => {
    const { connection } = await reachOwnSshd(['MaxSessions 1'])
    const end = await raised(connection, 'echo $$; exec sleep 100', [500, 60_000])
    expect(end).toMatchObject({ state: 'timed_out', reason: 'exec_timeout', remote: 'ended', signal: 'TERM' })
  })
})
