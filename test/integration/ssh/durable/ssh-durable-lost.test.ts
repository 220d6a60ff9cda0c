/**
 * Durable commands whose workers, connections, launchers or supervisors die: run once, and their true end comes home.
 */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fixedKnownHosts, type SshConnection } from '@muster/ssh'
import { describe, expect, onTestFinished, test } from 'vitest'
import { ask, dirOf, follow, newRun, reachAfter, told, type Watched } from '../../../support/ssh/durable.ts'
import { reach, sshdHost } from '../../../support/ssh/ssh.ts'
import { descendantsOf, startSshd } from '../../../support/ssh/sshd.ts'

/** Notes each start in a file that nothing of Muster writes. */
const noting = (durable: Watched, command: string) => `echo ran >>/tmp/ran-${durable.runId}; ${command}`
const starts = async (durable: Watched) => {
  const counted = await ask(`cat /tmp/ran-${durable.runId} 2>/dev/null | wc -l; rm -f /tmp/ran-${durable.runId}`)
  return Number(counted)
}

/** Numbers between 0 and 1 from a seed: the same ones every time. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

const destroyAfter = (connection: SshConnection, ms: number) => setTimeout(() => connection.client.destroy(), ms)

test('four launchers of one run at the same time start it once, and all of them get its end', async () => {
  for (let round = 0; round < 4; round += 1) {
    const durable = newRun()
    // With input, so that all of them are past the first look before one of them makes the directory.
    const command = { form: { command: noting(durable, 'cat; exit 7') }, stdin: 'out\n' }
    const ends = await Promise.all(
      [1, 2, 3, 4].map(async () => {
        const own = newRun({ limitBytes: 1_000, runId: durable.runId })
        return told(own, await follow(await reach(), own, command))
      }),
    )
    for (const end of ends) expect(end).toMatchObject({ exitCode: 7, out: 'out\n' })
    expect(await starts(durable)).toBe(1)
  }
})

test.each([1, 2, 3, 4])('connections cut at random moments change nothing (seed %i)', async (seed) => {
  const random = seeded(seed)
  let cuts = 0
  for (let round = 0; round < 4; round += 1) {
    const body = 'n=0; while [ $n -lt 40 ]; do n=$((n+1)); seq $n 300; seq $n 90 >&2; sleep 0.02; done; cat; exit 9'
    let durable = newRun()
    const followed = await (async () => {
      for (;;) {
        const connection = await reach()
        if (cuts - round * 3 < 3) {
          cuts += 1
          destroyAfter(connection, random() ** 2 * 600)
        }
        const command = { form: { command: noting(durable, body) }, stdin: 'last words' }
        const isOnlyLook = durable.wasSent && random() < 0.5
        const result = await follow(connection, durable, isOnlyLook ? undefined : command)
        if (result.kind === 'ended') return result
        if (result.kind === 'disconnected') continue
        // As the ledger does it: another attempt, which is another run.
        expect(result).toMatchObject({ kind: 'not_started' })
        expect(await starts(durable)).toBe(0)
        durable = newRun()
      }
    })()
    const end = told(durable, followed)
    const numbers = (last: number) =>
      Array.from({ length: 40 }, (_, n) => Array.from({ length: last - n }, (_, at) => `${n + 1 + at}\n`).join(''))
    expect(end).toMatchObject({ state: 'failed', exitCode: 9, outputComplete: true })
    expect(end.out).toBe(`${numbers(300).join('')}last words`)
    expect(end.err).toBe(numbers(90).join(''))
    expect(await starts(durable)).toBe(1)
  }
  expect(cuts).toBeGreaterThanOrEqual(8)
})

test('a launcher that is cut off starts nothing, or has started once, and the next one says which', async () => {
  const random = seeded(7)
  const outcomes = new Set<string>()
  for (let round = 0; round < 10; round += 1) {
    const durable = newRun()
    const isLong = round % 2 === 0
    const names = Array.from({ length: isLong ? 60 : 1 }, (_, n) => [`LONG_${n}`, 'x'.repeat(20_000)])
    const form = { command: noting(durable, 'wc -c') }
    const command = { form, env: Object.fromEntries(names), stdin: Buffer.alloc(isLong ? 10 : 3_000_000) }
    const connection = await reach()
    destroyAfter(connection, random() * 120)
    await follow(connection, durable, command)
    const followed = await follow(await reach(), durable, command)
    const isStarted = followed.kind === 'ended'
    if (isStarted)
      expect(told(durable, followed)).toMatchObject({ state: 'succeeded', out: `${command.stdin.length}\n` })
    else expect(followed).toMatchObject({ kind: 'not_started' })
    expect(await starts(durable)).toBe(isStarted ? 1 : 0)
    outcomes.add(followed.kind)
  }
  expect([...outcomes].sort()).toEqual(['ended', 'not_started'])
  await expect.poll(() => ask('ls "$HOME/.muster-runs" | grep "^t-.*\\." | wc -l')).toBe('0')
})

describe('a run that is only looked for', () => {
  test('a run that was never started never will be: a launcher that comes late finds it taken', async () => {
    const durable = newRun()
    const looked = await follow(await reach(), durable, undefined)
    expect(looked).toMatchObject({ kind: 'not_started' })
    const late = newRun({ limitBytes: 1_000, runId: durable.runId })
    expect(await follow(await reach(), late, noting(durable, 'true'))).toMatchObject({ kind: 'not_started' })
    expect(await starts(durable)).toBe(0)
  })

  test('and whose launcher died on its way is fenced off, and that is reported', async () => {
    const durable = newRun()
    await ask(`mkdir -p -m 700 "$HOME/.muster-runs"; mkdir -m 700 ${dirOf(durable)}`)
    expect(await follow(await reach(), durable, undefined)).toMatchObject({ kind: 'not_started' })
    expect(await ask(`cat ${dirOf(durable)}/claim`)).toBe('fenced')
  })

  test('and is fenced while its supervisor starts does not run, though its host had the command', async () => {
    const durable = newRun()
    // Slow once: everything is there, and the command is about to be started.
    const slow = `[ -e "$d/slept" ] || { : >"$d/slept"; sleep 12; }; exec ${await ask('command -v setsid')} "$@"`
    const d = await mkdtemp(join(tmpdir(), 'muster-slow-'))
    onTestFinished(() => rm(d, { recursive: true }))
    // The account of the host writes there.
    await chmod(d, 0o777)
    await writeFile(join(d, 'setsid'), `#!/bin/sh\n${slow}\n`, { mode: 0o755 })
    const connection = await reachAfter(`export d=${d} PATH=${d}:$PATH`)
    const mute = await follow(connection, durable, noting(durable, 'true'), { channelTimeoutMs: 500 })
    expect(mute).toMatchObject({ kind: 'disconnected', detail: expect.stringContaining('did not say in time') })
    expect(await follow(await reach(), durable, undefined)).toMatchObject({ kind: 'not_started' })
    await expect.poll(() => ask(`ls ${dirOf(durable)}`), { timeout: 10_000 }).toMatch(/^keeper$/m)
    await expect.poll(() => ask(`ps -A -o args= | grep -c "[.]muster-runs/${durable.runId}"`)).toBe('0')
    expect(await ask(`cat ${dirOf(durable)}/claim; ls ${dirOf(durable)}/result 2>/dev/null`)).toBe('fenced')
    expect(await starts(durable)).toBe(0)
  }, 40_000)

  test('is followed to its true end by another worker', async () => {
    const first = newRun()
    const connection = await reach()
    const command = noting(first, 'echo one; sleep 0.5; echo two; exit 3')
    const cut = await follow(connection, first, command, { onStarted: () => void destroyAfter(connection, 50) })
    expect(cut).toMatchObject({ kind: 'disconnected' })
    const second = newRun({ limitBytes: 1_000, runId: first.runId })
    expect(told(second, await follow(await reach(), second, undefined))).toMatchObject({
      exitCode: 3,
      out: 'one\ntwo\n',
    })
    expect(await starts(first)).toBe(1)
  })
})

test('a follower that is told to let go leaves the command alone', async () => {
  const durable = newRun()
  const detach = new AbortController()
  const options = { signal: detach.signal, onStarted: () => detach.abort('detach') }
  expect(await follow(await reach(), durable, 'sleep 0.5; echo done', options)).toMatchObject({ kind: 'disconnected' })
  expect(told(durable, await follow(await reach(), durable, undefined))).toMatchObject({ out: 'done\n', exitCode: 0 })
})

test('a command whose supervisor was killed is followed to its end, and is lost', async () => {
  const durable = newRun()
  const command = `read -r keeper _ <${dirOf(durable)}/keeper; kill -s KILL $keeper; sleep 0.5; echo last`
  const end = told(durable, await follow(await reach(), durable, command))
  expect(end).toMatchObject({
    state: 'lost',
    reason: 'result_missing',
    remote: 'unknown',
    exitCode: null,
    out: 'last\n',
  })
})

describe('a host that was restarted', () => {
  const reboot = (durable: Watched) =>
    `read -r pid start _ <${dirOf(durable)}/claim; echo $pid $start another-boot >${dirOf(durable)}/claim`

  test('is recognised: the command is lost', async () => {
    const durable = newRun()
    const connection = await reach()
    const cut = await follow(connection, durable, `echo out; sleep 0.4; ${reboot(durable)}; sleep 3`, {
      onStarted: () => void destroyAfter(connection, 100),
    })
    expect(cut).toMatchObject({ kind: 'disconnected' })
    await expect.poll(() => ask(`cat ${dirOf(durable)}/claim`)).toContain('another-boot')
    const end = told(durable, await follow(await reach(), durable, undefined))
    expect(end).toMatchObject({
      state: 'lost',
      reason: 'host_rebooted',
      remote: 'unknown',
      exitCode: null,
      out: 'out\n',
    })
  })

  test('does not take away a result that was complete', async () => {
    const durable = newRun()
    const other = newRun({ limitBytes: 1_000, runId: durable.runId })
    told(durable, await follow(await reach(), durable, 'echo out; exit 4'))
    await ask(reboot(durable))
    expect(told(other, await follow(await reach(), other, undefined))).toMatchObject({ exitCode: 4, out: 'out\n' })
  })
})

test('a host that never asks for the command has not got it', async () => {
  const own = await startSshd(['ForceCommand sleep 60'])
  onTestFinished(() => own.close())
  const connection = await reach(sshdHost({}, own.facts), { knownHosts: fixedKnownHosts(own.facts.knownHosts) })
  const durable = newRun()
  const mute = await follow(connection, durable, 'true', { channelTimeoutMs: 500 })
  expect(mute).toMatchObject({ kind: 'not_started', failure: { reason: 'channel_refused' } })
  expect(durable.wasSent).toBe(false)
})

test('nothing is left of a follower whose connection was cut, nor of a command that has ended', async () => {
  const own = await startSshd()
  onTestFinished(() => own.close())
  const knownHosts = fixedKnownHosts(own.facts.knownHosts)
  const reachOwn = () => reach(sshdHost({}, own.facts), { knownHosts })
  const connection = await reachOwn()
  const durable = newRun()
  /** The command's own reader of its output is one; a follower is another. */
  const readers = () => ask(`ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c "${durable.runId}/out$"`)
  let cutting: Promise<void> | undefined
  await follow(connection, durable, 'sleep 6', {
    onStarted: () => {
      cutting = expect
        .poll(readers, { timeout: 5_000 })
        .toBe('2')
        .finally(() => connection.client.destroy())
    },
  })
  await cutting
  await expect.poll(readers, { timeout: 4_000 }).toBe('1')
  await expect.poll(() => descendantsOf(own.facts.pid)).toEqual([])
  expect(await ask(`ps -A -o args= | grep -c "[.]muster-runs/${durable.runId}/supervisor"`)).not.toBe('0')
  const end = told(durable, await follow(await reachOwn(), durable, undefined))
  expect(end).toMatchObject({ state: 'succeeded' })
  await expect.poll(() => ask(`ps -A -o args= | grep -c "[.]muster-runs/${durable.runId}"`)).toBe('0')
})

test.each([
  ['before its command was there', ''],
  ['while its command runs', 'while [ ! -s $d/claim ]; do sleep 0.1; done;'],
])(
  'a supervisor that is killed %s, and whose directory is removed, leaves no clocks behind',
  async (_when, wait) => {
    const durable = newRun()
    const dir = dirOf(durable)
    const letGo = new AbortController()
    const limits = { execTimeoutMs: 4_000, killGraceMs: 500 }
    const following = follow(
      await reach(),
      durable,
      { form: { command: 'sleep 60' } },
      { limits, signal: letGo.signal },
    )
    const remove = `d=${dir}; while [ ! -s $d/keeper ]; do sleep 0.1; done; ${wait} read pid _ <$d/keeper; kill -9 $pid`
    await ask(`${remove}; rm -rf $d`)
    letGo.abort('detach')
    await following.catch(() => {})
    await expect.poll(() => ask(`pgrep -f '${durable.runId}/[s]upervisor' | wc -l`), { timeout: 20_000 }).toBe('0')
  },
  60_000,
)
