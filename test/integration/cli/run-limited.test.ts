/** `muster run` with a key that may do less: its limits hold, and what it may not read it is not told. */
import { OPERATIONS, type Request, type Scope } from '@muster/contract'
import { cancelJob, listJobs, readSpec } from '@muster/ledger'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { startMuster } from '../../support/cli/muster-process.ts'
import { printAndEnd } from '../../support/ledger/printed-run.ts'
import { startTestServer } from '../../support/server/server.ts'

const Told = z.object({ job: OPERATIONS.submit_job.output, output: z.null() })

/** A server, and `muster run` on its host h0 with a key of these scopes; `jobId` is known once the job is there. */
async function musterRun(
  scopes: readonly Scope[],
  flags: readonly string[] = [],
  limits: Omit<Request<'create_key'>, 'scopes'> = {},
) {
  const server = await startTestServer({ inventoryYaml: 'hosts: { h0: {} }' })
  const { key } = await server.makeKey({ owner: 'ci', scopes, limits })
  const env = { PATH: process.env.PATH, MUSTER_URL: server.url, MUSTER_API_KEY: key }
  const process_ = startMuster(env, 'run', 'h0', ...flags, '--', 'cat', 'a-secret-name')
  const jobs = async () => (await listJobs(server.ledger, { owner: 'ci', limit: 10 })).jobs
  await expect.poll(async () => (await jobs()).length, { timeout: 20_000 }).toBe(1)
  const [job] = await jobs()
  return { ...server, end: process_.end, said: process_.said, jobId: job?.job_id ?? '' }
}

describe('muster run with a key that may not read output', () => {
  test('tells how the job ended, in words and status, and that the output is not for this key', async () => {
    const { ledger, end, jobId } = await musterRun(['jobs:run', 'jobs:read'])
    await printAndEnd(ledger, jobId, 0, { stdout: 'what only others may read\n', exitCode: 3 })
    const { status, out, said } = await end()
    expect([status, out.toString()]).toEqual([1, ''])
    expect(said).toContain('The API key may not read the output of jobs (jobs:read:output).')
    expect(said).toContain('1 failed')
    expect(said).not.toMatch(/only others|a-secret-name/)
  }, 60_000)

  test('has null for it in JSON, and no word of the command', async () => {
    const { ledger, end, jobId } = await musterRun(['jobs:run', 'jobs:read'], ['--json'])
    await printAndEnd(ledger, jobId, 0, { stdout: 'what only others may read\n' })
    const { status, out } = await end()
    const { job, output } = Told.parse(JSON.parse(out.toString()))
    expect([status, job.state, job.command, output]).toEqual([0, 'succeeded', null, null])
    expect(out.toString()).not.toMatch(/only others|a-secret-name/)
  }, 60_000)
})

describe('muster run with a key that may read nothing', () => {
  test('has its job accepted, and says by its status that nobody here knows its end', async () => {
    const { ledger, end, jobId } = await musterRun(['jobs:run'])
    const { status, out, said } = await end()
    expect([status, out.toString()]).toEqual([124, ''])
    expect(said).toContain(jobId)
    expect(said).toContain('The job goes on; the API key may not read how it ends (jobs:read).')
    expect(said).not.toContain('insufficient_scope')
    await cancelJob(ledger, jobId)
  }, 60_000)
})

describe('muster run with a key that has limits', () => {
  test('asks for nothing by itself that the key may not have', async () => {
    const limits = { max_exec_timeout_s: 20, max_concurrency: 2, max_output_bytes: 2_048, max_hosts: 1 }
    const { ledger, end, jobId } = await musterRun(['jobs:run'], ['--detach', '--health-check', 'true'], limits)
    expect((await end()).status).toBe(0)
    const { spec } = (await readSpec(ledger, jobId)) ?? {}
    expect(spec).toMatchObject({ exec_timeout_s: 20, concurrency: 2, output_limit_bytes: 2_048 })
    expect(spec?.health_check?.timeout_s).toBe(20)
  }, 60_000)
})
