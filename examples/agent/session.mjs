#!/usr/bin/env node
/**
 * What an AI agent does with Muster over MCP, as a program: look at the hosts, try a change on one, roll it out, read
 * what came of it. An agent reads the same texts that this prints.
 *
 *   MUSTER_URL=http://127.0.0.1:7420 MUSTER_API_KEY=mst_... node examples/agent/session.mjs 'uptime'
 *
 * Ends with 1 unless every host succeeded.
 */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'

const { MUSTER_URL = 'http://127.0.0.1:7420', MUSTER_API_KEY = '' } = process.env
const [command = 'uptime'] = process.argv.slice(2)

const client = new Client({ name: 'muster-example', version: '1' })
await client.connect(
  new StreamableHTTPClientTransport(new URL('/mcp', MUSTER_URL), {
    requestInit: { headers: { authorization: `Bearer ${MUSTER_API_KEY}` } },
  }),
)

/** Calls a tool, prints the call and its text, and returns the typed part of the answer. */
async function use(name, fields) {
  console.log(`> ${name} ${JSON.stringify(fields)}`)
  const { content, structuredContent, isError } = await client.callTool({ name, arguments: fields })
  const text = content.map((part) => part.text).join('\n')
  console.log(`${text}\n`)
  // A command that fails is no error. This is a request that was refused; its text says what to do.
  if (isError) throw new Error(text)
  return structuredContent
}

try {
  // Which hosts would that be? Nothing runs.
  await use('preview_targets', { targets: '@web' })

  // One host first, then the rest. If the first goes wrong, the others are skipped: nobody has to watch.
  let job = await use('run_command', { targets: '@web', command, canary: 1, wait_s: 5 })

  // A wait is bounded, so that the client does not give up on it. It ends early when the job does.
  while (['queued', 'running', 'cancelling'].includes(job.state)) {
    job = await use('wait_job', { job_id: job.job_id, wait_s: 45 })
  }

  // Equal output is shown once, with the hosts it came from.
  await use('get_output', { job_id: job.job_id })
  process.exitCode = job.state === 'succeeded' ? 0 : 1
} finally {
  await client.close()
}
