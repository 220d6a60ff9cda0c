/**
 * What an agent does with a fleet, through whichever MCP client and transport it has: submit to a group, wait, read the
 * gathered output, page through what one host printed, and cancel another job.
 *
 * Asserts what an agent relies on, and no more of the form of the answers.
 */
import { expect } from 'vitest'
import { z } from 'zod'

/** As much of an MCP client as the story needs; those of both SDKs are one. */
export type StoryClient = {
  listTools(): Promise<{ tools: readonly { name: string }[] }>
  callTool(call: { name: string; arguments: Record<string, unknown> }): Promise<unknown>
}

const ToolResult = z.looseObject({
  isError: z.boolean().default(false),
  content: z.tuple([z.looseObject({ type: z.literal('text'), text: z.string() })]),
  structuredContent: z.record(z.string(), z.unknown()).optional(),
})
const OfJob = z.looseObject({ job_id: z.string(), state: z.string(), counts: z.record(z.string(), z.number()) })
const JobList = z.looseObject({ jobs: z.array(z.looseObject({ job_id: z.string() })) })

const ENDED: ReadonlySet<string> = new Set(['succeeded', 'partial', 'failed', 'cancelled'])
const TOOLS = ['run_command', 'get_job', 'wait_job', 'get_output', 'cancel_job', 'list_jobs', 'list_hosts']

/** Says which address it came in on, as the hosts of the test fleet differ in nothing else; on 127.0.1.3 it fails. */
const COMMAND = 'set -- $SSH_CONNECTION; case $3 in *.3) echo release 9; exit 3;; *) echo release 8;; esac'
const LINES = 400
const PRINT_LINES = `i=0; while [ $i -lt ${LINES} ]; do echo "line $i of the log"; i=$((i+1)); done`
const PAGE_CHARS = 2_000

/** Calls a tool, and gives what both kinds of clients read of the answer: the text and the structured part. */
export async function callTool(client: StoryClient, name: string, fields: Record<string, unknown> = {}) {
  const { isError, content, structuredContent } = ToolResult.parse(await client.callTool({ name, arguments: fields }))
  const [{ text }] = content
  return { isError, text, structured: structuredContent }
}

/**
 * The whole story, on a fleet of four hosts `web01` to `web04` at 127.0.1.1 to 127.0.1.4, which are the group `web`.
 */
export async function runStory(client: StoryClient): Promise<void> {
  const { tools } = await client.listTools()
  expect(tools.map(({ name }) => name)).toEqual(expect.arrayContaining(TOOLS))

  const submit = async (fields: Record<string, unknown>) => jobOf(await callTool(client, 'run_command', fields))
  const submitted = await submit({ targets: '@web', command: COMMAND, wait_s: 0, idempotency_key: 'story' })
  expect(submitted.job_id).toMatch(/^job_/)
  // The answer got lost, and so it asks again: the same job, and nothing runs twice.
  const again = await submit({ targets: '@web', command: COMMAND, wait_s: 0, idempotency_key: 'story' })
  expect(again.job_id).toBe(submitted.job_id)

  expect(await waitForEnd(client, submitted.job_id)).toMatchObject({
    state: 'partial',
    counts: { succeeded: 3, failed: 1 },
  })
  const gathered = await callTool(client, 'get_output', { job_id: submitted.job_id })
  expect(gathered.isError).toBe(false)
  for (const part of ['release 8', 'release 9', 'web03', 'exit 3']) expect(gathered.text).toContain(part)

  const printing = await submit({ targets: 'web02', command: PRINT_LINES, wait_s: 20 })
  await waitForEnd(client, printing.job_id)
  await readToTheEnd(client, printing.job_id, 'web02')

  const sleeping = await submit({ targets: '@web', command: 'sleep 120', wait_s: 0 })
  const cancelled = await callTool(client, 'cancel_job', { job_id: sleeping.job_id })
  expect(jobOf(cancelled).job_id).toBe(sleeping.job_id)
  expect(await waitForEnd(client, sleeping.job_id)).toMatchObject({ state: 'cancelled', counts: { cancelled: 4 } })

  const { jobs } = JobList.parse((await callTool(client, 'list_jobs')).structured)
  const known = jobs.map((job) => job.job_id)
  expect(known).toEqual(expect.arrayContaining([submitted.job_id, printing.job_id, sleeping.job_id]))
}

function jobOf({ isError, text, structured }: Awaited<ReturnType<typeof callTool>>) {
  expect([isError, text]).toEqual([false, expect.any(String)])
  // Some clients show only the text, others only the structured part.
  expect(JSON.parse(text)).toEqual(structured)
  return OfJob.parse(structured)
}

async function waitForEnd(client: StoryClient, jobId: string) {
  for (;;) {
    const job = jobOf(await callTool(client, 'wait_job', { job_id: jobId, wait_s: 20 }))
    if (ENDED.has(job.state)) return job
  }
}

/** From the middle of the first page, which shows both ends, page by page as the answers say how to go on. */
async function readToTheEnd(client: StoryClient, jobId: string, host: string): Promise<void> {
  const seen = new Set<number>()
  let pages = 0
  for (let cursor: string | undefined; cursor !== 'none'; pages += 1) {
    const fields = { job_id: jobId, host, max_chars: PAGE_CHARS, ...(cursor === undefined ? {} : { cursor }) }
    const { isError, text } = await callTool(client, 'get_output', fields)
    expect([isError, text.length <= PAGE_CHARS]).toEqual([false, true])
    for (const [, line] of text.matchAll(/line (\d+) of the log/g)) seen.add(Number(line))
    const onwards = pages === 0 ? /read them with cursor: (\S+)\]/ : /next_cursor: (\S+)/
    cursor = onwards.exec(text)?.[1] ?? 'none'
  }
  expect([pages > 2, seen.has(0), seen.has(LINES - 1)]).toEqual([true, true, true])
  // A line that one page ends in is in no page as a whole.
  expect(seen.size).toBeGreaterThan(LINES - 2 * pages)
}
