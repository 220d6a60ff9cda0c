/**
 * The whole story, told by calling every tool there is: look at the fleet, submit to a group, wait, read what was
 * printed by all and by one, cancel another job, let a paused one go on, run one again.
 *
 * Ends with an error at the first answer that is not as it should be.
 */
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict'
import type { Inspector, ToolAnswer } from './inspector.ts'

const GROUP = '@web'
const HOST = 'web1'
/** Prints more than one page holds. */
const LONG = 'seq 1 4000'
const ID = /^job_[a-z0-9]{26}$/

/** Lists the tools and calls each of them, real hosts behind. Answers the names, in the order of the calls. */
export async function callEveryTool(inspector: Inspector): Promise<string[]> {
  const called = new Set<string>()
  const call = async (tool: string, fields: Record<string, unknown>): Promise<ToolAnswer> => {
    called.add(tool)
    const answer = await inspector.call(tool, fields)
    ok(!answer.isError, `${tool} ${JSON.stringify(fields)} was refused: ${answer.text}`)
    return answer
  }
  const submit = async (fields: Record<string, unknown>): Promise<string> => jobOf(await call('run_command', fields))

  await lookAround(call)

  const job_id = await submit({ targets: GROUP, command: LONG, wait_s: 0 })
  const ended = await call('wait_job', { job_id, wait_s: 30 })
  strictEqual(ended.fields.state, 'succeeded')
  deepStrictEqual(ended.fields.counts, { succeeded: 4 })
  match((await call('get_output', { job_id })).text, /web\[1-4\]/)
  match((await call('get_output', { job_id, host: HOST, tail: 3 })).text, /^4000$/m)
  strictEqual((await call('get_job', { job_id })).fields.state, 'succeeded')

  const other = await submit({ targets: GROUP, command: 'sleep 300', wait_s: 0 })
  await call('cancel_job', { job_id: other })
  strictEqual((await call('wait_job', { job_id: other, wait_s: 30 })).fields.state, 'cancelled')

  await pauseAndResume(call, submit)

  // A command that ran and ended with another status is a result, not an error.
  const failed = await call('run_command', { targets: HOST, command: 'exit 3', wait_s: 20 })
  strictEqual(failed.fields.state, 'failed')
  const again = jobOf(await call('rerun_job', { job_id: jobOf(failed), wait_s: 20 }))
  const { text } = await call('list_jobs', { limit: 5 })
  for (const id of [job_id, other, again]) ok(text.includes(id), `list_jobs leaves out ${id}: ${text}`)

  deepStrictEqual([...called].toSorted(), (await inspector.list()).toSorted(), 'a tool was listed and not called')
  return [...called]
}

type Call = (tool: string, fields: Record<string, unknown>) => Promise<ToolAnswer>

async function lookAround(call: Call): Promise<void> {
  match((await call('list_hosts', {})).text, /web/)
  match((await call('preview_targets', { targets: GROUP })).text, /web/)
  match((await call('test_connection', { targets: GROUP, wait_s: 30 })).text, /web/)
  // On a machine with much installed, /etc fills more than one page.
  const after = Buffer.from('passw').toString('base64url')
  const passwords = { targets: GROUP, path: '/etc', after, wait_s: 30 }
  match((await call('list_directory', passwords)).text, /passwd/)
  match((await call('check_disk_usage', { targets: GROUP, path: '/', wait_s: 30 })).text, /%|percent/)
}

async function pauseAndResume(call: Call, submit: (fields: Record<string, unknown>) => Promise<string>): Promise<void> {
  const job_id = await submit({ targets: GROUP, command: 'true', batches: [1, 3], gate: 'manual', wait_s: 20 })
  strictEqual((await call('get_job', { job_id })).fields.state, 'paused')
  await call('resume_job', { job_id, batch: 1 })
  strictEqual((await call('wait_job', { job_id, wait_s: 30 })).fields.state, 'succeeded')
}

function jobOf({ fields: { job_id: id }, text }: ToolAnswer): string {
  if (typeof id === 'string' && ID.test(id)) return id
  throw new Error(`there is no job_id in ${text}`)
}
