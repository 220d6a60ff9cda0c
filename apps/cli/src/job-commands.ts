/** The commands about a job that is there already: jobs, show, runs, wait, cancel, extend. */
import { isTerminalJob, MusterError, OPERATIONS, type Run } from '@muster/contract'
import { checkedInput } from './checked-input.ts'
import { type Command, JSON_SWITCH, WAIT_SWITCH } from './cli.ts'
import { flagsOf } from './flags.ts'
import { followJob } from './follow-job.ts'
import { jobsText, jobText, summaryLine } from './render.ts'
import { runsText, runText } from './render-runs.ts'
import { limitOf } from './run-command.ts'

/** `muster jobs`: the newest jobs. */
export const listJobsCommand: Command = {
  flags: flagsOf(OPERATIONS.list_jobs.input, ['cursor']),
  switches: [JSON_SWITCH],
  act: async (cli, line) => {
    const answer = await cli.client.call('list_jobs', checkedInput('list_jobs', line.fields))
    cli.out(line.switches.has('json') ? `${JSON.stringify(answer)}\n` : jobsText(answer.jobs))
    return 0
  },
}

/** `muster show`: one job and what went wrong in it, or its run on one host. */
export const showCommand: Command = {
  flags: [],
  switches: [JSON_SWITCH],
  act: async (cli, line) => {
    const { words, switches } = line
    const [job_id, host, ...more] = words
    if (host !== undefined && more.length === 0) {
      const run = await cli.client.call('get_run', checkedInput('get_run', { job_id, host }))
      cli.out(switches.has('json') ? `${JSON.stringify(run)}\n` : runText(run))
      return 0
    }
    const job = await cli.client.call('get_job', checkedInput('get_job', { job_id: wordOf(words, 'show') }))
    cli.out(switches.has('json') ? `${JSON.stringify(job)}\n` : jobText(job))
    return 0
  },
}

/** `muster runs`: the runs of a job, a line for each host. */
export const listRunsCommand: Command = {
  flags: flagsOf(OPERATIONS.list_runs.input, ['job_id', 'limit', 'cursor']),
  switches: [JSON_SWITCH],
  act: async (cli, line) => {
    const query = { ...line.fields, job_id: wordOf(line.words, 'runs'), limit: 1_000 }
    const runs: Run[] = []
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const page = await cli.client.call('list_runs', checkedInput('list_runs', { ...query, cursor }))
      runs.push(...page.runs)
      cursor = page.next_cursor
    }
    cli.out(line.switches.has('json') ? `${JSON.stringify({ runs })}\n` : runsText(runs))
    return 0
  },
}

/** `muster wait`: follows a job to its end. */
export const waitCommand: Command = {
  flags: [],
  switches: [JSON_SWITCH, WAIT_SWITCH],
  act: async (cli, line) => {
    // A server that is not there is told at once; only one that was there before is waited for.
    const first = await cli.client.call('get_job', checkedInput('get_job', { job_id: wordOf(line.words, 'wait') }))
    const { job, status } = await followJob(cli, first, limitOf(line))
    cli.out(line.switches.has('json') ? `${JSON.stringify(job)}\n` : `${summaryLine(job)}\n`)
    return status
  },
}

/** `muster cancel`: cancels a job, or some hosts of it, and tells what it has come to. */
export const cancelCommand: Command = {
  flags: flagsOf(OPERATIONS.cancel_job.input, ['job_id']),
  switches: [JSON_SWITCH],
  act: async (cli, line) => {
    const given = { ...line.fields, job_id: wordOf(line.words, 'cancel', '; name hosts of it with --targets') }
    const job = await cli.client.call('cancel_job', checkedInput('cancel_job', given))
    cli.out(line.switches.has('json') ? `${JSON.stringify(job)}\n` : `${summaryLine(job)}\n`)
    if (!isTerminalJob(job.state)) cli.say(`Asked to cancel; to see it confirmed: muster wait ${job.job_id}`)
    return 0
  },
}

/** `muster extend`: gives the commands of a job more time. */
export const extendCommand: Command = {
  flags: flagsOf(OPERATIONS.extend_job.input, ['job_id']),
  switches: [JSON_SWITCH],
  act: async (cli, line) => {
    const given = { ...line.fields, job_id: wordOf(line.words, 'extend') }
    const job = await cli.client.call('extend_job', checkedInput('extend_job', given))
    const text = `each command may now run ${job.exec_timeout_s} s · ${job.state} · ${job.job_id}`
    cli.out(line.switches.has('json') ? `${JSON.stringify(job)}\n` : `${text}\n`)
    return 0
  },
}

/** @throws {MusterError} invalid_request when there is not exactly one word */
function wordOf(words: readonly string[], command: string, hint = ''): string {
  const [word, ...more] = words
  if (word !== undefined && more.length === 0) return word
  if (word === undefined) {
    throw new MusterError('invalid_request', `muster ${command} takes a job ID; muster jobs lists them`)
  }
  throw new MusterError('invalid_request', `muster ${command} takes one job ID, and was given "${more[0]}" too${hint}`)
}
