/**
 * Rollouts at the command line, end to end: one that stops by itself, a gate, a rerun, and a fan-out changed meanwhile.
 */
import { OPERATIONS } from '@muster/contract'
import { expect, test } from 'vitest'
import { muster, startMuster } from '../../support/cli/muster-process.ts'
import { fleetFiles } from '../../support/stack/fleet-files.ts'
import { gateFile } from '../../support/stack/gate.ts'
import { type Stack, startStack } from '../../support/stack/stack.ts'
import { witnessFile } from '../../support/stack/witness.ts'

/** The job, as soon as its command line has told its ID. */
async function jobIdOf({ said }: { said(): string }): Promise<string> {
  await expect.poll(said, { timeout: 20_000 }).toMatch(/^job_\w+ · /m)
  return /^job_\w+/m.exec(said())?.[0] ?? ''
}

async function shownJob(env: Stack['env'], jobId: string) {
  const { out } = await muster(env, 'show', jobId, '--json')
  return OPERATIONS.get_job.output.parse(JSON.parse(out.toString()))
}

test('a canary that fails stops the rollout: nothing else starts, and who spent the budget is reported', async () => {
  const { env } = await startStack({ ...fleetFiles(6) })
  const witness = await witnessFile()
  const command = `echo ran >> ${witness.path}; exit 3`
  const { status, out, said } = await muster(env, 'run', '@web', '--canary', '1', '--', command)
  expect(status).toBe(1)
  expect(await witness.lines()).toEqual(['ran'])
  expect(out.toString()).toContain(
    '── web[02-06] (5 hosts): skipped, error_budget, too many hosts had gone wrong before\n',
  )
  expect(said).toContain('── error budget spent by web01: 0 tolerated; nothing more starts\n')
  expect(said).toMatch(/\n1 failed, 5 skipped · error budget spent in batch 1 of 2 · failed · job_\w+\n$/)
}, 60_000)

test('at a manual gate the job is paused until resumed, and whoever follows it learns once what to type', async () => {
  const { env } = await startStack({ ...fleetFiles(3) })
  const witness = await witnessFile()
  const args = ['--batches', '1,100%', '--gate', 'manual', '--', `echo ran >> ${witness.path}`]
  const running = startMuster(env, 'run', '@web', ...args)
  const jobId = await jobIdOf(running)
  await expect.poll(running.said, { timeout: 20_000 }).toContain('Paused after batch 1 of 2. ')
  expect(running.said()).toContain(`muster resume ${jobId}`)
  expect((await muster(env, 'show', jobId)).out.toString()).toMatch(/^state +paused$/m)
  // Waiting with a limit ends as ever; the job stays where it is.
  const waited = await muster(env, 'wait', jobId, '--wait-s', '1')
  expect([waited.status, waited.said]).toEqual([124, expect.stringContaining('Paused after batch 1 of 2. ')])
  expect(await witness.lines()).toHaveLength(1)

  const resumed = await muster(env, 'resume', jobId)
  expect([resumed.status, resumed.out.toString()]).toEqual([0, expect.stringContaining('batch 2 of 2')])
  const { status, said } = await running.end()
  expect([status, said.match(/Paused/g)?.length]).toEqual([0, 1])
  expect(await witness.lines()).toHaveLength(3)
  const again = await muster(env, 'resume', jobId)
  expect([again.status, again.said]).toEqual([2, expect.stringContaining('not paused (job_not_paused)')])
}, 60_000)

test('a rerun takes the hosts that failed, is followed to its end, and the two jobs name each other', async () => {
  const { env } = await startStack({ ...fleetFiles(3) })
  const gate = await gateFile()
  const witness = await witnessFile()
  const address = 'set -- $SSH_CONNECTION; echo $3'
  const command = `${address} >> ${witness.path}; [ $3 = 127.0.1.1 ] || [ -e ${gate.path} ] || exit 3`
  const first = await muster(env, 'run', '@web', '--', command)
  expect(first.status).toBe(1)
  const jobId = /job_\w+/.exec(first.said)?.[0] ?? ''
  const none = await muster(env, 'rerun', jobId, '--states', 'lost')
  expect([none.status, none.said]).toEqual([3, expect.stringContaining('no_targets')])

  await gate.open()
  const { status, said, out } = await muster(env, 'rerun', jobId, '--states', 'failed,lost')
  expect([status, out.toString()]).toEqual([0, expect.stringContaining('── web[02-03] (2 hosts): succeeded')])
  expect(said).toMatch(new RegExp(`^job_\\w+ · 2 hosts · rerun of ${jobId}$`, 'm'))
  const again = /job_\w+/.exec(said)?.[0] ?? ''
  expect((await witness.lines()).toSorted()).toEqual(['127.0.1.1', '127.0.1.2', '127.0.1.2', '127.0.1.3', '127.0.1.3'])
  expect((await shownJob(env, jobId)).reruns).toEqual([again])
  expect((await shownJob(env, again)).rerun_of).toBe(jobId)
  expect((await muster(env, 'show', jobId)).out.toString()).toMatch(new RegExp(`^run again +${again}$`, 'm'))
}, 60_000)

test('the fan-out of a job that runs is raised, and more of it starts at once', async () => {
  const { env } = await startStack({ ...fleetFiles(4) })
  const gate = await gateFile()
  const witness = await witnessFile()
  const command = `echo ran >> ${witness.path}; until [ -e ${gate.path} ]; do sleep 0.1; done`
  const running = startMuster(env, 'run', '@web', '--concurrency', '1', '--', command)
  const jobId = await jobIdOf(running)
  await expect.poll(witness.lines, { timeout: 20_000 }).toHaveLength(1)
  const changed = await muster(env, 'concurrency', jobId, '75%')
  expect([changed.status, changed.out.toString()]).toEqual([0, `up to 3 at once · running · ${jobId}\n`])
  await expect.poll(witness.lines, { timeout: 20_000 }).toHaveLength(3)
  expect((await shownJob(env, jobId)).counts).toMatchObject({ running: 3, pending: 1 })
  await gate.open()
  expect((await running.end()).status).toBe(0)
  expect(await witness.lines()).toHaveLength(4)
}, 60_000)

test('what the flags select and allow is what the job is, and the preview says the same', async () => {
  const { env } = await startStack({ ...fleetFiles(6) })
  const selecting = ['@web', '--exclude', 'web02', '--order', 'shuffle', '--seed', '7', '--limit', '3']
  const preview = JSON.parse((await muster(env, 'targets', ...selecting, '--json')).out.toString())
  const { hosts, seed } = OPERATIONS.resolve_targets.output.parse(preview)
  expect([hosts.length, hosts.includes('web02'), seed]).toEqual([3, false, 7])

  const rollout = ['--batches', '1,50%', '--max-errors', '34%', '--on-budget', 'cancel', '--batch-pause-s', '0.1']
  const limits = ['--concurrency', '100%', '--read-only', '--host-limit', '2', '--force', '--health-check', 'exit 0']
  const { status, out, said } = await muster(env, 'run', ...selecting, ...rollout, ...limits, '--json', '--', 'true')
  expect([status, said]).toEqual([0, expect.stringContaining(' · 3 hosts · seed 7\n')])
  const { job } = JSON.parse(out.toString())
  expect(OPERATIONS.get_job.output.parse(job)).toMatchObject({
    selection: { exclude: 'web02', pick: null, order: 'shuffle', limit: 3, seed: 7 },
    concurrency: 3,
    budget: { max_errors: 1, errors: 0, exceeded: false, on_budget: 'cancel' },
    batch: { number: 3, of: 3 },
    counts: { succeeded: 3 },
  })
  const runs = JSON.parse((await muster(env, 'runs', job.job_id, '--json')).out.toString()).runs
  const ran = OPERATIONS.list_runs.output.shape.runs.parse(runs).map(({ host }) => host)
  expect(ran).toEqual(hosts)
}, 60_000)
