/** Many calls at once, of two owners, with the same JSON-RPC ids, in both generations: whose answer is whose. */
import { expect, test } from 'vitest'
import { connectLegacySdk, connectModernSdk } from '../../support/mcp/mcp-clients.ts'
import { GENERATIONS, type Generation, postMcp } from '../../support/mcp/mcp-requests.ts'
import { callTool } from '../../support/mcp/mcp-story.ts'
import { collectGarbage } from '../../support/runtime/garbage.ts'
import { startTestServer } from '../../support/server/server.ts'

const OWNERS = ['ann', 'bob'] as const

async function startWithOwners() {
  const server = await startTestServer()
  const owners = await Promise.all(
    OWNERS.map(async (owner) => {
      const { key } = await server.makeKey({ owner, scopes: ['jobs:read:output', 'jobs:run', 'hosts:read'] })
      const params = { name: 'run_command', arguments: { command: `echo ${owner}`, targets: '@web', wait_s: 0 } }
      const door = { url: server.url, key }
      const { result } = await postMcp(door, { generation: 'modern', method: 'tools/call', params })
      const [, jobId = ''] = /"job_id":"(job_\w+)"/.exec(JSON.stringify(result)) ?? []
      return { owner, door, jobId }
    }),
  )
  return { ...server, owners }
}

test('1,000 interleaved calls of two owners with the same ids: each answer belongs to its caller', async () => {
  const { owners } = await startWithOwners()
  const [ann, bob] = owners
  const calls = Array.from({ length: 250 }, (_, id) => id).flatMap((id) =>
    GENERATIONS.flatMap((generation) => owners.map((whose) => ({ id, generation, ...whose }))),
  )
  expect(calls).toHaveLength(1_000)
  const askOne = async ({ id, generation, door, jobId, owner }: (typeof calls)[number]) => {
    // Every fifth asks for the job of the other, which is not there for it.
    const isForeign = id % 5 === 0
    const wanted = isForeign ? (owner === 'ann' ? bob?.jobId : ann?.jobId) : jobId
    const params = { name: 'get_job', arguments: { job_id: wanted } }
    const answer = await postMcp(door, { generation, method: 'tools/call', params, id })
    expect(answer.id).toBe(id)
    if (isForeign) {
      expect(answer.result).toMatchObject({ isError: true, content: [{ text: expect.stringMatching(/^not_found: /) }] })
      expect(answer.text).not.toContain(`echo ${owner === 'ann' ? 'bob' : 'ann'}`)
    } else {
      expect(answer.result).toMatchObject({ structuredContent: { job_id: jobId } })
      expect(answer.text).toContain(`echo ${owner}`)
    }
  }
  const queue = calls.values()
  const lane = async () => {
    for (const call of queue) await askOne(call)
  }
  await Promise.all(Array.from({ length: 20 }, lane))
}, 120_000)

test('clients of both SDKs, at once on one server, see the jobs of their owner and no others', async () => {
  const { owners } = await startWithOwners()
  await Promise.all(
    owners.flatMap(({ door, jobId }) =>
      [connectLegacySdk(door), connectModernSdk(door, 'legacy'), connectModernSdk(door, 'auto')].map(
        async (opening) => {
          const client = await opening
          for (let round = 0; round < 10; round += 1) {
            const { structured } = await callTool(client, 'list_jobs')
            expect(structured).toMatchObject({ jobs: [{ job_id: jobId }] })
          }
        },
      ),
    ),
  )
}, 60_000)

test.each(GENERATIONS)(
  'nothing of a %s request is kept when it has been answered',
  async (generation) => {
    const { owners, lines } = await startWithOwners()
    const [ann] = owners
    if (ann === undefined) throw new Error('there is no owner ann')
    const params = { name: 'get_job', arguments: { job_id: ann.jobId } }
    const ask = (generation: Generation) => postMcp(ann.door, { generation, method: 'tools/call', params })
    const askMany = async (count: number) => {
      for (let left = count; left > 0; left -= 20) await Promise.all(Array.from({ length: 20 }, () => ask(generation)))
      // The log of a test server is kept in memory.
      lines.length = 0
      await collectGarbage()
      return process.memoryUsage().heapUsed
    }
    await askMany(400)
    const before = await askMany(400)
    const after = await askMany(2_000)
    // A server that is kept would be more than 5 kB, for each of 2,000 requests.
    expect(after - before).toBeLessThan(5_000_000)
  },
  120_000,
)
