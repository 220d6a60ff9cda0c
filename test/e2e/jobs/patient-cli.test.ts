/**
 * The command line when its server is away for a while. Between the two stands a proxy that loses answers and cuts
 * connections; the server, the worker, Redis and sshd are real, and go on.
 */
import { OPERATIONS } from '@muster/contract'
import { expect, test } from 'vitest'
import { startMuster } from '../../support/cli/muster-process.ts'
import { startCuttingProxy } from '../../support/runtime/cutting-proxy.ts'
import { fleetFiles } from '../../support/stack/fleet-files.ts'
import { gateFile } from '../../support/stack/gate.ts'
import { startStack } from '../../support/stack/stack.ts'
import { witnessFile } from '../../support/stack/witness.ts'

/** A Muster, and the surroundings of a command line that reaches it through the proxy. */
async function startCutStack() {
  const stack = await startStack({ ...fleetFiles(1) })
  const proxy = await startCuttingProxy(stack.url)
  // The key in the data directory is only for the server itself.
  return { stack, proxy, env: { ...stack.env, MUSTER_URL: proxy.url, MUSTER_API_KEY: stack.apiKey } }
}

test('a run whose submit lost its answer and whose server went away is one job, followed to its end', async () => {
  const { stack, proxy, env } = await startCutStack()
  const gate = await gateFile()
  const witness = await witnessFile()
  proxy.loseNextReply()
  const command = `echo ran >> ${witness.path}; until [ -e ${gate.path} ]; do sleep 0.1; done; echo done`
  const running = startMuster(env, 'run', 'web01', '--', command)
  await expect.poll(() => witness.lines(), { timeout: 20_000 }).toEqual(['ran'])
  await expect.poll(running.said, { timeout: 20_000 }).toMatch(/^\d\/1 ended/m)
  proxy.setAway(true)
  await expect.poll(running.said, { timeout: 20_000 }).toMatch(/ended: .*\n\[.*; asking again\]\n/)
  await gate.open()
  proxy.setAway(false)
  const { status, out, said } = await running.end()
  expect([status, out.toString()]).toEqual([0, '── web01: succeeded\n│ done\n'])
  // Once for the submit, once for the job, however often it was asked.
  expect(said.match(/asking again/g)).toHaveLength(2)
  expect(proxy.lost()).toBe(1)
  expect(await witness.lines()).toEqual(['ran'])
  const { jobs } = OPERATIONS.list_jobs.output.parse((await stack.ask('GET', '/v1/jobs')).body)
  expect(jobs).toHaveLength(1)
}, 60_000)

test.each([
  ['shorter', 'two'],
  ['longer', `two; printf '%040d\\n' 7`],
])(
  'output that is followed is true when the command was started again behind a cut connection, and printed %s',
  async (_, second) => {
    const { stack, proxy, env } = await startCutStack()
    const gate = await gateFile()
    const witness = await witnessFile()
    const command = `
    [ -s ${witness.path} ] && { echo ${second}; exit 0; }
    echo ran >> ${witness.path}; echo the first attempt; until [ -e ${gate.path} ]; do sleep 0.1; done; exit 75`
    const { job_id } = await stack.submit({ targets: 'web01', command, retry_on: [75], retry_backoff_s: 0 })
    const following = startMuster(env, 'output', job_id, 'web01', '--follow')
    await expect.poll(() => following.out().toString(), { timeout: 20_000 }).toBe('the first attempt\n')
    proxy.setAway(true)
    await gate.open()
    expect(await stack.ended(job_id)).toMatchObject({ state: 'succeeded' })
    proxy.setAway(false)
    const { status, out, said } = await following.end()
    const more = second === 'two' ? '' : `${'7'.padStart(40, '0')}\n`
    expect([status, out.toString()]).toEqual([0, `the first attempt\ntwo\n${more}`])
    expect(said.match(/started again/g)).toHaveLength(1)
    expect(said.match(/asking again/g)).toHaveLength(1)
  },
  60_000,
)
