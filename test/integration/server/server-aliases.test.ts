/** Aliases over real HTTP and MCP: an alias stands for its host wherever a host is named, and no host gets two runs. */
import { JobReport, OPERATIONS, Submit } from '@muster/contract'
import { finishRun, submitJob } from '@muster/ledger'
import { describe, expect, test } from 'vitest'
import { claimIndex, ENDS, endAs } from '../../support/ledger/ledger-worker.ts'
import { connectClient } from '../../support/mcp/mcp-client.ts'
import { startTestServer } from '../../support/server/server.ts'

const inventoryYaml = `
hosts:
  web01: { address: 10.0.0.1, aliases: [www, w1] }
  web02: { address: 10.0.0.2, aliases: w2 }
  web01-root: { address: 10.0.0.1, user: root }
groups:
  web: "www,w2"
`

async function startFleet() {
  const server = await startTestServer({ inventoryYaml })
  const submit = async (body: Record<string, unknown>) =>
    JobReport.parse((await server.call('POST', '/v1/jobs', { body: { command: 'true', ...body } })).body)
  return { ...server, submit }
}

describe('an alias', () => {
  test('is a name of its host for a submit: what it selects, excludes and limits has the host once', async () => {
    const { submit, call, ledger } = await startFleet()
    const job = await submit({ targets: 'w1,web01,@web,www', exclude: 'w2' })
    expect(job).toMatchObject({ total: 1, targets: 'w1,web01,@web,www' })
    expect(await ledger.redis.lrange(ledger.keys.hosts(job.job_id), 0, -1)).toEqual(['web01'])
    expect(await submit({ targets: 'w2,web02,www', limit: 1 })).toMatchObject({ total: 1 })
    const unknown = await call('POST', '/v1/jobs', { body: { command: 'true', targets: 'ww' } })
    expect(unknown.body).toMatchObject({ code: 'unknown_target', nearest: ['www', 'w1', 'w2'] })
  })

  test('names the run, the output and the events of its host, and is cancelled with it', async () => {
    const { submit, call } = await startFleet()
    const { job_id: jobId } = await submit({ targets: '@web' })
    for (const path of ['runs/www', 'runs/w1', 'runs/w1/output']) {
      expect([path, (await call('GET', `/v1/jobs/${jobId}/${path}`)).body]).toMatchObject([path, { host: 'web01' }])
    }
    expect((await call('GET', `/v1/jobs/${jobId}/runs/nobody`)).status).toBe(404)
    const cancelled = await call('POST', `/v1/jobs/${jobId}/cancel`, { body: { targets: 'w2' } })
    expect(JobReport.parse(cancelled.body)).toMatchObject({ counts: { cancelled: 1, queued: 1 } })
    expect((await call('GET', `/v1/jobs/${jobId}/runs/web02`)).body).toMatchObject({ state: 'cancelled' })
    const events = await call('GET', `/v1/jobs/${jobId}/events?host=w2`)
    expect([events.status, events.text]).toEqual([200, expect.stringMatching(/event: end\n.*"host":"web02"/s)])
  })

  test('is tested as its host', async () => {
    const { call } = await startFleet()
    const { body } = await call('POST', '/v1/hosts/www/test', { body: { wait_s: 0.1 } })
    expect(OPERATIONS.test_host.output.parse(body)).toMatchObject({ host: 'web01', ok: null })
  })

  test('that was a host of its own when a job came keeps its name, and a rerun takes its host once', async () => {
    const { call, ledger } = await startFleet()
    const request = Submit.parse({ command: 'true', targets: 'w1,web01' })
    const { jobId } = await submitJob(ledger, { request, hosts: ['w1', 'web01'], owner: 'first' })
    for (const index of [0, 1]) {
      const claim = await claimIndex(ledger, jobId, index)
      if (claim === undefined) throw new Error('a run could not be claimed')
      await endAs(ledger, claim, 'failed')
    }
    expect((await call('GET', `/v1/jobs/${jobId}/runs/w1`)).body).toMatchObject({ host: 'w1', index: 0 })
    const again = JobReport.parse((await call('POST', `/v1/jobs/${jobId}/rerun`, { body: {} })).body)
    expect(again).toMatchObject({ total: 1, targets: 'web01', rerun_of: jobId })
  })
})

test('hosts are listed with their aliases, over REST and MCP', async () => {
  const { call } = await startFleet()
  const { hosts } = OPERATIONS.list_hosts.output.parse((await call('GET', '/v1/hosts?targets=w1,web01-root')).body)
  expect(hosts.map(({ name, aliases }) => [name, aliases])).toEqual([
    ['web01', ['www', 'w1']],
    ['web01-root', []],
  ])
  const { use } = await connectClient({ inventoryYaml })
  expect((await use('list_hosts', { targets: 'w2' })).structured).toMatchObject({
    hosts: [{ name: 'web02', aliases: ['w2'] }],
  })
  const asked = await use('run_command', { targets: 'w2,web02', command: 'true', wait_s: 0 })
  const jobId = String(asked.structured?.job_id)
  expect((await use('get_output', { job_id: jobId, host: 'w2' })).text).toContain('web02')
})

test('a job freezes the machine of each host: users of one share its places, and the job says so', async () => {
  const { submit, ledger, call } = await startFleet()
  const both = await submit({ targets: 'web01,web02,web01-root' })
  const notice = expect.stringMatching(/^one machine under different users: /)
  expect(both.notices).toEqual([{ notice, hosts: 'web01,web01-root', count: 2 }])
  const claim = await claimIndex(ledger, both.job_id, 0)
  if (claim === undefined) throw new Error('the first run could not be claimed')
  expect(await claimIndex(ledger, both.job_id, 2)).toBeUndefined()
  const other = await submit({ targets: 'web01-root' })
  expect(await claimIndex(ledger, other.job_id, 0)).toBeUndefined()
  await finishRun(ledger, claim, { ...ENDS.refused, detail: null, signal: null, isRetryable: false })
  const again = JobReport.parse((await call('POST', `/v1/jobs/${both.job_id}/rerun`, { body: {} })).body)
  expect(await claimIndex(ledger, again.job_id, 0), 'and so does a rerun').toBeUndefined()
})
