/**
 * A job while it runs: its output is followed live over server-sent events and the command line, some of its hosts are
 * cancelled, its limit is raised. Real processes, a real Redis, and a real sshd.
 */
import { OPERATIONS } from '@muster/contract'
import { freePort } from '@muster/runtime'
import { describe, expect, test } from 'vitest'
import { muster, startMuster } from '../../support/cli/muster-process.ts'
import { openEvents } from '../../support/server/event-reader.ts'
import { fleetFiles } from '../../support/stack/fleet-files.ts'
import { gateFile } from '../../support/stack/gate.ts'
import { startStack } from '../../support/stack/stack.ts'

describe('a command that is running', () => {
  test.each([false, true])(
    'and has written more than is kept shows its last bytes, each at its offset (durable: %s)',
    async (durable) => {
      const stack = await startStack({ ...fleetFiles(1) })
      const gate = await gateFile()
      // Eight bytes a line, so that every byte tells where it stands.
      const lines = `i=0; while [ $i -lt 300 ]; do printf '%07d\\n' $i; i=$((i+1)); done`
      const command = `${lines}; until [ -e ${gate.path} ]; do sleep 0.1; done`
      const { job_id } = await stack.submit({ targets: 'web01', command, output_limit_bytes: 1_024, durable })
      const read = async (offset: number) => {
        const { body } = await stack.ask('GET', `/v1/jobs/${job_id}/runs/web01/output?offset=${offset}`)
        return OPERATIONS.read_output.output.parse(body)
      }
      const textFrom = (line: number, count: number) =>
        Array.from({ length: count }, (_, i) => `${String(line + i).padStart(7, '0')}\n`).join('')
      await expect.poll(async () => (await read(512)).data, { timeout: 20_000 }).toBe(textFrom(236, 64))
      const gap = { offset: 1_888, omitted_bytes: 1_376, total_bytes: 2_400, eof: false }
      expect(await read(512)).toMatchObject(gap)
      expect(await read(0)).toMatchObject({ data: textFrom(0, 64), next_offset: 512 })
      await gate.open()
      await stack.ended(job_id)
      expect(await read(512)).toMatchObject({ ...gap, data: textFrom(236, 64), eof: true })
    },
    60_000,
  )

  test('is followed live over server-sent events and over the command line, to its last byte and its end', async () => {
    const stack = await startStack({ ...fleetFiles(1) })
    const gate = await gateFile()
    const command = `printf 'one\\377\\000'; until [ -e ${gate.path} ]; do sleep 0.1; done; echo two; exit 3`
    const { job_id } = await stack.submit({ targets: 'web01', command })
    const events = await openEvents(stack, `/v1/jobs/${job_id}/events?host=web01&encoding=base64`)
    const following = startMuster(stack.env, 'output', job_id, 'web01', '--follow')

    const begun = Buffer.from('one\xff\0', 'latin1')
    const first = await events.next()
    expect(first).toMatchObject({
      id: expect.stringMatching(/^\d+-5$/),
      event: { event: 'output', data: { data: begun.toString('base64') } },
    })
    await expect.poll(() => following.out(), { timeout: 20_000 }).toEqual(begun)
    const { body } = await stack.ask('GET', `/v1/jobs/${job_id}/runs/web01`)
    expect(OPERATIONS.get_run.output.parse(body).state).toBe('running')

    await gate.open()
    const [second, end, ...more] = await events.rest()
    expect(second).toMatchObject({
      id: expect.stringMatching(/^\d+-9$/),
      event: { data: { offset: 5, data: Buffer.from('two\n').toString('base64') } },
    })
    expect(end?.event).toMatchObject({ event: 'end', data: { host: 'web01', state: 'failed', exit_code: 3 } })
    expect(more).toEqual([])
    const { status, out, said } = await following.end()
    expect(out).toEqual(Buffer.concat([begun, Buffer.from('two\n')]))
    expect([status, said]).toEqual([1, 'web01: failed, exit_nonzero, exit code 3\n'])
  }, 60_000)

  test('is followed on when the server is started again in between, without a byte twice', async () => {
    const stack = await startStack({ ...fleetFiles(1), env: { MUSTER_PORT: String(await freePort()) } })
    const gate = await gateFile()
    const command = `echo one; until [ -e ${gate.path} ]; do sleep 0.1; done; echo two`
    const { job_id } = await stack.submit({ targets: 'web01', command })
    const following = startMuster(stack.env, 'output', job_id, 'web01', '--follow')
    await expect.poll(() => following.out().toString(), { timeout: 20_000 }).toBe('one\n')
    await stack.restartServer()
    await gate.open()
    const { status, out, said } = await following.end()
    expect([status, out.toString()]).toEqual([0, 'one\ntwo\n'])
    expect(said).toContain('the stream broke off; asking again')
  }, 60_000)

  test('is cancelled on one host over the command line, and goes on to its end on the other', async () => {
    const stack = await startStack({ ...fleetFiles(2) })
    const gate = await gateFile()
    const command = `echo begun; until [ -e ${gate.path} ]; do sleep 0.1; done; echo done`
    const { job_id } = await stack.submit({ targets: '@web', command, kill_grace_s: 1 })
    const counts = async () =>
      OPERATIONS.get_job.output.parse((await stack.ask('GET', `/v1/jobs/${job_id}`)).body).counts
    await expect.poll(async () => (await counts()).running, { timeout: 20_000 }).toBe(2)
    const cancelled = await muster(stack.env, 'cancel', job_id, '--targets', 'web02')
    expect([cancelled.status, cancelled.said]).toEqual([0, expect.stringContaining(`muster wait ${job_id}\n`)])
    await expect.poll(async () => (await counts()).cancelled, { timeout: 20_000 }).toBe(1)
    await gate.open()
    expect(await stack.ended(job_id)).toMatchObject({ counts: { succeeded: 1, cancelled: 1 } })
    const runs = await muster(stack.env, 'runs', job_id)
    expect(runs.out.toString()).toMatch(/^web01 +succeeded +0 .*\nweb02 +cancelled /m)
    expect((await muster(stack.env, 'show', job_id, 'web02')).out.toString()).toContain('cancelled_by_user')
    expect(await muster(stack.env, 'cancel', job_id, '--targets', 'web03')).toMatchObject({
      status: 2,
      said: expect.stringContaining('unknown_target'),
    })
  }, 60_000)

  test('is given more time over the command line, and succeeds', async () => {
    const stack = await startStack({ ...fleetFiles(1) })
    const { job_id } = await stack.submit({ targets: 'web01', command: 'sleep 11; echo done', exec_timeout_s: 8 })
    const runningOf = async () =>
      OPERATIONS.get_job.output.parse((await stack.ask('GET', `/v1/jobs/${job_id}`)).body).counts.running
    await expect.poll(runningOf, { timeout: 20_000, interval: 100 }).toBe(1)
    const extended = await muster(stack.env, 'extend', job_id, '--exec-timeout-s', '60')
    expect([extended.status, extended.out.toString()]).toEqual([0, expect.stringContaining('may now run 60 s')])
    expect(await stack.ended(job_id)).toMatchObject({ state: 'succeeded', exec_timeout_s: 60 })
    const again = await muster(stack.env, 'extend', job_id, '--exec-timeout-s', '90')
    expect([again.status, again.said]).toEqual([2, expect.stringContaining('job_ended')])
    const lowered = await muster(stack.env, 'extend', job_id, '--exec-timeout-s', 'soon')
    expect([lowered.status, lowered.said]).toEqual([2, expect.stringContaining('--exec-timeout-s')])
  }, 60_000)
})

test('the command line refuses what it cannot follow', async () => {
  const stack = await startStack({ ...fleetFiles(1), workers: 0 })
  const { job_id } = await stack.submit({ targets: 'web01', command: 'true' })
  for (const [args, word] of [
    [['output', job_id, '--follow'], '--follow'],
    [['output', job_id, 'web09', '--follow'], 'web09'],
    [['output', job_id, 'web01', '--follow', '--stream', 'stdin'], '--stream'],
    [['output', 'job_1', 'web01', '--follow'], 'job_id'],
    [['run', 'web01', '--retry-on', '75,sometimes', '--', 'true'], '--retry-on'],
    [['runs', job_id, '--state', 'done'], '--state'],
  ] as const) {
    const { status, said } = await muster(stack.env, ...args)
    expect([args, status, said]).toEqual([args, 2, expect.stringContaining(word)])
  }
}, 60_000)
