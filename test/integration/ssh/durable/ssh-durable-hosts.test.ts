/** Where durable runs are kept on their hosts, what hosts cannot hold them, and how what they leave is removed. */
import { spawnSync } from 'node:child_process'
import { readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { removeDurable } from '@muster/ssh'
import { afterAll, describe, expect, test } from 'vitest'
import { ask, dirOf, follow, newRun, reachAfter, told } from '../../../support/ssh/durable.ts'
import { reach } from '../../../support/ssh/ssh.ts'

/** Of this file alone: others run beside it, of other users too. */
const NEW_HOME = `$(mktemp -d ${tmpdir()}/muster-home-XXXXXX)`
afterAll(async () => {
  const homes = (await readdir(tmpdir())).filter((name) => name.startsWith('muster-home-'))
  for (const name of homes) await rm(join(tmpdir(), name), { recursive: true })
})

describe('a home directory that cannot be written', () => {
  const homeless = 'export HOME=/nonexistent'

  test('is replaced by a private directory, where the run is found again', async () => {
    const durable = newRun()
    const connection = await reachAfter(homeless)
    const detach = new AbortController()
    const options = { signal: detach.signal, onStarted: () => detach.abort('detach') }
    expect(await follow(connection, durable, 'sleep 0.3; echo done', options)).toMatchObject({ kind: 'disconnected' })
    const directory = `/var/tmp/muster-$(id -u)/${durable.runId}`
    expect(await ask(`ls -ld /var/tmp/muster-$(id -u) ${directory} | cut -c1-10`)).toBe('drwx------\ndrwx------')
    expect(told(durable, await follow(connection, durable, undefined))).toMatchObject({ exitCode: 0, out: 'done\n' })
    expect(await removeDurable(connection, durable)).toBe(true)
    expect(await ask(`cat ${directory}/*; ls ${dirOf(durable)} 2>/dev/null`)).toBe('removed')
  })
})

describe('a host that cannot hold a durable run has not started it:', () => {
  const home = `umask 022; export HOME=${NEW_HOME}`
  const hosts: Array<[string, string]> = [
    ['its directory is a link', `${home}; mkdir -m 700 $HOME/there; ln -s there $HOME/.muster-runs`],
    ['its directory is open to others', `${home}; mkdir -m 755 $HOME/.muster-runs`],
    ['it has no setsid', `d=${NEW_HOME}; for f in sh head mkdir ls id rm; do ln -s $(command -v $f) $d; done; PATH=$d`],
    ['it has no room', `${home}; trap "" XFSZ; ulimit -f 0`],
  ]
  test.each(hosts)('%s', async (_name, text) => {
    const durable = newRun()
    const connection = await reachAfter(text)
    const followed = await follow(connection, durable, `echo ran >/tmp/ran-${durable.runId}`)
    expect(followed).toMatchObject({ kind: 'not_durable', detail: expect.stringContaining('web1: ') })
    expect(await ask(`ls /tmp/ran-${durable.runId} 2>/dev/null`)).toBe('')
  })

  test('the name of the run is taken by something else', async () => {
    const durable = newRun()
    await ask(`mkdir -p -m 700 "$HOME/.muster-runs"; d=${NEW_HOME}; ln -s $d ${dirOf(durable)}`)
    expect(await follow(await reach(), durable, 'true')).toMatchObject({ kind: 'not_durable' })
  })
})

describe.each(['dash', 'bash', 'busybox'].filter((shell) => spawnSync(shell, ['-c', ':']).error === undefined))(
  'on a host whose sh is %s',
  (shell) => {
    // busybox brings all its programs along, as on the small systems where it is sh.
    const programs = shell === 'busybox' ? 'busybox --install -s $d' : `ln -s $(command -v ${shell}) $d/sh`
    const asShell = `d=${NEW_HOME}; ${programs}; export PATH=$d:$PATH`
    const reachShell = () => reachAfter(asShell)

    test('exit statuses and signals are told apart, or reported as unsure', async () => {
      const connection = await reachShell()
      const endings: Array<[string, object]> = [
        ['exit 143', { exitCode: 143, signal: null }],
        ['exit 137', { exitCode: 137, signal: null }],
        ['exit 147', { exitCode: 147, signal: null }],
        ['exit 255', { exitCode: 255, signal: null }],
        ['kill -s TERM $$', { exitCode: null, signal: 'TERM' }],
        ['kill -s KILL $$', { exitCode: null, signal: 'KILL' }],
        ['kill -s PIPE $$', { exitCode: null, signal: null }],
      ]
      for (const [command, expected] of endings) {
        const durable = newRun()
        const end = told(durable, await follow(connection, durable, command))
        expect({ command, exitCode: end.exitCode, signal: end.signal }).toEqual({ command, ...expected })
      }
    })

    test('input, output by offset, the clock and the kill work', async () => {
      const durable = newRun()
      const connection = await reachShell()
      const detach = new AbortController()
      const limits = { execTimeoutMs: 1_500, killGraceMs: 200 }
      const command = { form: { command: 'seq 1 9999; cat; trap "" TERM; while :; do sleep 1; done' }, stdin: 'in' }
      const options = {
        limits,
        signal: detach.signal,
        onStarted: () => void setTimeout(() => detach.abort('detach'), 300),
      }
      expect(await follow(connection, durable, command, options)).toMatchObject({ kind: 'disconnected' })
      expect(durable.caps.stdout.bytes).toBeGreaterThan(40_000)
      const end = told(durable, await follow(await reachShell(), durable, undefined, { limits }))
      expect(end).toMatchObject({ state: 'timed_out', remote: 'ended', signal: 'KILL' })
      expect(end.out.slice(-15)).toBe('97\n9998\n9999\nin')
    })
  },
)

test('a host that has no room for the result does not make it up: the command is lost', async () => {
  const durable = newRun()
  const command = `rm -f ${dirOf(durable)}/result.new; mkdir ${dirOf(durable)}/result.new; echo out`
  const end = told(durable, await follow(await reach(), durable, command))
  expect(end).toMatchObject({ state: 'lost', reason: 'result_missing', exitCode: null, out: 'out\n' })
})

test('output that the host has no room for is reported as incomplete', async () => {
  const durable = newRun()
  const connection = await reachAfter(`export HOME=${NEW_HOME}; ulimit -f 64`)
  const end = told(durable, await follow(connection, durable, 'trap "" PIPE; seq 1 100000 2>/dev/null; exit 0'))
  expect(end).toMatchObject({ outputComplete: false })
  expect('1\n'.concat(end.out).length).toBeLessThan(70_000)
})

describe('what a run leaves', () => {
  test('is removed when its result is safe', async () => {
    const durable = newRun()
    const connection = await reach()
    await follow(connection, durable, 'echo out')
    expect(await removeDurable(connection, durable)).toBe(true)
    expect(await ask(`cat ${dirOf(durable)}/*`)).toBe('removed')
    expect(await removeDurable(connection, durable)).toBe(true)
  })

  test('is known to have been there, so that nothing starts it again', async () => {
    const durable = newRun()
    const connection = await reach()
    await follow(connection, durable, 'echo out')
    const other = newRun({ limitBytes: 1_000, runId: durable.runId })
    expect(await removeDurable(connection, other)).toBe(true)
    expect(await ask(`cat ${dirOf(durable)}/*`)).toBe('removed')
    const lost = { state: 'lost', reason: 'result_missing', remote: 'unknown' }
    for (const command of ['echo again', undefined]) {
      const late = newRun({ limitBytes: 1_000, runId: durable.runId })
      expect(await follow(connection, late, command)).toMatchObject({ kind: 'ended', end: lost })
    }
    const cancelled = await follow(connection, newRun({ limitBytes: 1_000, runId: durable.runId }), undefined, {
      signal: AbortSignal.abort(),
    })
    expect(cancelled).toMatchObject({ kind: 'ended', end: lost })
  })

  test('is not removed while the command runs', async () => {
    const durable = newRun()
    const connection = await reach()
    let removed: Promise<boolean> | undefined
    const options = {
      onStarted: () => {
        removed = removeDurable(connection, durable)
      },
    }
    expect(told(durable, await follow(connection, durable, 'sleep 0.5; echo out', options)).out).toBe('out\n')
    expect(await removed).toBe(false)
  })

  test('is swept a week after its end, by a later run; and not what still runs', async () => {
    const [old, fresh, running, later] = [newRun(), newRun(), newRun(), newRun()]
    const connection = await reach()
    await follow(connection, old, 'true')
    await follow(connection, fresh, 'true')
    const detach = new AbortController()
    const options = { signal: detach.signal, onStarted: () => detach.abort('detach') }
    await follow(connection, running, 'sleep 5', options)
    await ask(`sleep 0.3; touch -d '9 days ago' ${dirOf(old)} ${dirOf(running)}`)
    await follow(connection, later, 'true')
    await expect.poll(() => ask(`ls -d ${dirOf(old)} 2>/dev/null`)).toBe('')
    expect(await ask(`ls -d ${dirOf(fresh)} ${dirOf(running)} | wc -l`)).toBe('2')
    await ask(`read -r pid _ <${dirOf(running)}/claim; kill -s TERM -- -$pid`)
  })
})
