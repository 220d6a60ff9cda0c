/** The commands about a job that is there already: jobs, show, wait, cancel. */
import { MusterError } from '@muster/contract'
import { type Cli, checkedInput } from './cli.ts'
import { readCommandLine } from './flags.ts'
import { followJob } from './follow-job.ts'
import { createProgress } from './progress.ts'
import { jobsText, jobText, summaryLine } from './render.ts'
import { secondsOf } from './run-command.ts'

const JSON_SWITCH = { name: 'json', takesValue: false, description: 'Print the answer as JSON.' } as const

/** `muster jobs`: the newest jobs. */
export async function listJobsCommand(cli: Cli, args: readonly string[]): Promise<number> {
  const limit = { name: 'limit', field: 'limit', kind: 'number', description: '', usual: '20' } as const
  const line = readCommandLine(args, [limit], [JSON_SWITCH])
  const answer = await cli.client.call('list_jobs', checkedInput('list_jobs', line.fields))
  cli.out(line.switches.has('json') ? `${JSON.stringify(answer)}\n` : jobsText(answer.jobs))
  return 0
}

/** `muster show`: one job and what went wrong in it. */
export async function showCommand(cli: Cli, args: readonly string[]): Promise<number> {
  const line = readCommandLine(args, [], [JSON_SWITCH])
  const job = await cli.client.call('get_job', checkedInput('get_job', { job_id: wordOf(line.words, 'show') }))
  cli.out(line.switches.has('json') ? `${JSON.stringify(job)}\n` : jobText(job))
  return 0
}

/** `muster wait`: follows a job to its end. */
export async function waitCommand(cli: Cli, args: readonly string[]): Promise<number> {
  const line = readCommandLine(args, [], [JSON_SWITCH, { name: 'wait-s', takesValue: true, description: '' }])
  const first = await cli.client.call('get_job', checkedInput('get_job', { job_id: wordOf(line.words, 'wait') }))
  const limit = line.switches.get('wait-s')
  const { job, status } = await followJob(cli.client, first, {
    limitS: limit === undefined ? undefined : secondsOf(String(limit)),
    progress: createProgress(cli.stderr),
    interrupts: cli.interrupts,
    say: cli.say,
  })
  cli.out(line.switches.has('json') ? `${JSON.stringify(job)}\n` : `${summaryLine(job)}\n`)
  return status
}

/** `muster cancel`: cancels a job and tells what it has come to. */
export async function cancelCommand(cli: Cli, args: readonly string[]): Promise<number> {
  const line = readCommandLine(args, [], [JSON_SWITCH])
  const job = await cli.client.call('cancel_job', checkedInput('cancel_job', { job_id: wordOf(line.words, 'cancel') }))
  cli.out(line.switches.has('json') ? `${JSON.stringify(job)}\n` : `${summaryLine(job)}\n`)
  return 0
}

/** @throws {MusterError} invalid_request when there is not exactly one word */
function wordOf(words: readonly string[], command: string): string {
  const [word, ...more] = words
  if (word !== undefined && more.length === 0) return word
  throw new MusterError('invalid_request', `muster ${command} takes one job ID; muster jobs lists them`)
}
