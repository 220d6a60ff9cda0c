/** Gathered output as callers get it, over REST, MCP and the command line: a big job on one screen, honestly. */
import { GatheredOutput, OPERATIONS, Submit } from '@muster/contract'
import { type Ledger, submitJob } from '@muster/ledger'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { printAndEnd } from '../../support/ledger/printed-run.ts'
import { startTestServer } from '../../support/server/server.ts'

const HOSTS = 500
const ODD: ReadonlyMap<number, { stdout: string; exitCode: number }> = new Map([
  [17, { stdout: reportOf(17, 'nginx 1.22.1', '99%'), exitCode: 0 }],
  [230, { stdout: reportOf(230, 'nginx 1.24.0', '41%').replace('sshd: active\n', ''), exitCode: 0 }],
  [499, { stdout: reportOf(499, 'nginx: command not found', '41%'), exitCode: 127 }],
])

function nameOf(i: number): string {
  return `web${String(i).padStart(3, '0')}`
}

function reportOf(i: number, version: string, used: string): string {
  return [
    `host ${nameOf(i)} at 2026-11-25T01:33:${String(i % 60).padStart(2, '0')}Z`,
    version,
    'sshd: active',
    'cron: active',
    'Filesystem      Size  Used Avail Use% Mounted on',
    `/dev/vda1        40G   16G   23G  ${used} /`,
    `load ok, kernel 6.1.0-18-amd64`,
    '',
  ].join('\n')
}

/** A job on 500 hosts of which three are not like the others. */
async function bigJob(ledger: Ledger, hostCount = HOSTS): Promise<string> {
  const hosts = Array.from({ length: hostCount }, (_, i) => nameOf(i))
  const request = Submit.parse({ command: './report', targets: '@*', concurrency: hostCount })
  const { jobId } = await submitJob(ledger, { request, hosts, owner: 'tester' })
  const printed = hosts.map((_, i) => ODD.get(i) ?? { stdout: reportOf(i, 'nginx 1.24.0', '41%') })
  await Promise.all(printed.map((some, i) => printAndEnd(ledger, jobId, i, some)))
  return jobId
}

const ToolText = z.object({ result: z.object({ content: z.array(z.object({ text: z.string() })).length(1) }) })

test('five hundred hosts, three of them odd, are reported in less than a thousand tokens', async () => {
  const server = await startTestServer()
  const jobId = await bigJob(server.ledger)
  const params = { name: 'get_output', arguments: { job_id: jobId, mask: ['host', 'time'] } }
  const answer = await server.call('POST', '/mcp', {
    body: { jsonrpc: '2.0', id: 1, method: 'tools/call', params },
    headers: { accept: 'application/json, text/event-stream' },
  })
  const json = answer.text.startsWith('{') ? answer.text : (/^data: (.*)$/m.exec(answer.text)?.[1] ?? '')
  const { result } = ToolText.parse(JSON.parse(json))
  const text = result.content[0]?.text ?? ''
  expect(text.length).toBeLessThan(4_000)
  expect(text).toContain('web[000-016,018-229,231-498], 497 hosts: succeeded, exit 0')
  expect(text).toMatch(
    /web017, 1 host: succeeded, exit 0; what differs from the first group\n[\s\S]*?-nginx 1\.24\.0\n\+nginx 1\.22\.1/,
  )
  expect(text).toMatch(/web017, [\s\S]*?-\/dev\/vda1 .*41% \/\n\+\/dev\/vda1 .*99% \//)
  expect(text).toMatch(/web230, 1 host: succeeded, exit 0; [\s\S]*?\n-sshd: active\n/)
  expect(text).toMatch(/web499, 1 host: failed, exit 127; [\s\S]*?\n\+nginx: command not found\n/)
  // One output is shown in whole, as its host printed it, and it is said that the others differ in what was masked.
  expect(text.match(/^host web/gm)).toHaveLength(1)
  expect(text).toContain('(the output differs from host to host in what was masked)')
}, 60_000)

test('REST takes masks and a diff, as a list or one by one, and refuses an unknown mask', async () => {
  const { call, ledger } = await startTestServer()
  const jobId = await bigJob(ledger, 20)
  const path = `/v1/jobs/${jobId}/output`
  const plain = GatheredOutput.parse((await call('GET', path)).body)
  expect([plain.groups.length, plain.groups[0]?.diff]).toEqual([20, null])
  const masked = GatheredOutput.parse((await call('GET', `${path}?mask=host,time&diff=true`)).body)
  expect(masked.groups).toMatchObject([
    { count: 19, is_reference: true, diff: null, distinct_outputs: 19 },
    { hosts: 'web017', is_reference: false, diff: expect.stringContaining('+nginx 1.22.1') },
  ])
  expect((await call('GET', `${path}?mask=host&mask=time&diff=true`)).body).toEqual(masked)
  const refused = await call('GET', `${path}?mask=host,colour`)
  expect([refused.status, refused.body.field]).toEqual([400, 'mask.1'])
})

test('a cursor that no page gave out is a bad request, for runs and for jobs', async () => {
  const { call, ledger } = await startTestServer()
  const jobId = await bigJob(ledger, 3)
  for (const path of [`/v1/jobs/${jobId}/runs`, '/v1/jobs']) {
    const { status, body } = await call('GET', `${path}?cursor=hello`)
    expect([status, body.code, body.field]).toEqual([400, 'invalid_request', 'cursor'])
    const page = await call('GET', `${path}?limit=1`)
    const next = z.string().nullable().parse(page.body.next_cursor)
    if (next !== null) expect((await call('GET', `${path}?limit=1&cursor=${next}`)).status).toBe(200)
  }
  const filtered = OPERATIONS.list_jobs.output.parse((await call('GET', '/v1/jobs?state=cancelled')).body)
  expect(filtered).toEqual({ jobs: [], next_cursor: null })
})
