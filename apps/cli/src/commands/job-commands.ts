/** The commands about existing jobs: `jobs`, `show`, `runs`, `wait`, `cancel`, `extend`, `resume`, `concurrency`. */
import { isTerminalJob, type Job, MusterError, OPERATIONS, type Run, visibleJson } from '@muster/contract'
import { checkedInput } from '../line/checked-input.ts'
import { JSON_SWITCH, type ServerCommand, WAIT_SWITCH } from '../line/command.ts'
import { flagsOf, numberOrText, secondsOf } from '../line/flags.ts'
import { jobsText, jobText, summaryLine } from '../render/render-job.ts'
import { runsText, runText } from '../render/render-runs.ts'
import { followJob } from './follow-job.ts'

/** The most jobs on one page. */
const JOBS_PAGE = 100
const JOBS_USUAL = 20
const LIMIT_SWITCH = { name: 'limit', takesValue: true, description: `How many jobs. Default: ${JOBS_USUAL}.` }

/** `muster jobs`: the newest jobs, read in as many pages as it takes. */
export const listJobsCommand: ServerCommand = {
  flags: flagsOf(OPERATIONS.list_jobs.input, ['cursor', 'limit']),
  switches: [LIMIT_SWITCH, JSON_SWITCH],
  act: async (cli, { words, fields, switches }) => {
    if (words.length > 0) throw new MusterError('invalid_request', `muster jobs takes no words; given "${words[0]}"`)
    const most = limitOf(String(switches.get('limit') ?? JOBS_USUAL))
    const jobs: Job[] = []
    let cursor: string | null | undefined
    while (jobs.length < most && cursor !== null) {
      const limit = Math.min(JOBS_PAGE, most - jobs.length)
      const page = await cli.client.call('list_jobs', checkedInput('list_jobs', { ...fields, limit, cursor }))
      jobs.push(...page.jobs)
      cursor = page.next_cursor
    }
    cli.out(switches.has('json') ? `${visibleJson({ jobs, next_cursor: cursor })}\n` : jobsText(jobs))
    if (cursor !== null) cli.say(`There may be more: muster jobs --limit ${2 * most}`)
    return 0
  },
}

function limitOf(text: string): number {
  if (/^[1-9]\d{0,6}$/.test(text)) return Number(text)
  throw new MusterError('invalid_request', `--limit: expected a whole number from 1; given ${JSON.stringify(text)}`)
}

/** `muster show`: one job with its problems, or its run on one host. */
export const showCommand: ServerCommand = {
  flags: [],
  switches: [JSON_SWITCH],
  act: async (cli, line) => {
    const { words, switches } = line
    const [job_id, host, ...more] = words
    if (host !== undefined && more.length === 0) {
      const run = await cli.client.call('get_run', checkedInput('get_run', { job_id, host }))
      cli.out(switches.has('json') ? `${visibleJson(run)}\n` : runText(run))
      return 0
    }
    const job = await cli.client.call('get_job', checkedInput('get_job', { job_id: wordOf(words, 'show') }))
    cli.out(switches.has('json') ? `${visibleJson(job)}\n` : jobText(job))
    return 0
  },
}

/** `muster runs`: the runs of a job, one line per host. */
export const listRunsCommand: ServerCommand = {
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
    cli.out(line.switches.has('json') ? `${visibleJson({ runs })}\n` : runsText(runs))
    return 0
  },
}

/** `muster wait`: follows a job to its end. */
export const waitCommand: ServerCommand = {
  flags: [],
  switches: [JSON_SWITCH, WAIT_SWITCH],
  act: async (cli, line) => {
    // A missing server is reported at once; only one that has answered before is worth waiting for.
    const first = await cli.client.call('get_job', checkedInput('get_job', { job_id: wordOf(line.words, 'wait') }))
    const { job, status } = await followJob(cli, first, secondsOf(line, 'wait-s'))
    cli.out(line.switches.has('json') ? `${visibleJson(job)}\n` : `${summaryLine(job)}\n`)
    return status
  },
}

/** `muster cancel`: cancels a job, or some of its hosts, and shows where the job stands. */
export const cancelCommand: ServerCommand = {
  flags: flagsOf(OPERATIONS.cancel_job.input, ['job_id']),
  switches: [JSON_SWITCH],
  act: async (cli, line) => {
    const given = { ...line.fields, job_id: wordOf(line.words, 'cancel', '; name hosts of it with --targets') }
    const job = await cli.client.call('cancel_job', checkedInput('cancel_job', given))
    cli.out(line.switches.has('json') ? `${visibleJson(job)}\n` : `${summaryLine(job)}\n`)
    if (!isTerminalJob(job.state)) cli.say(`Asked to cancel; to see it confirmed: muster wait ${job.job_id}`)
    return 0
  },
}

/** `muster extend`: gives the commands of a job more time. */
export const extendCommand: ServerCommand = {
  flags: flagsOf(OPERATIONS.extend_job.input, ['job_id']),
  switches: [JSON_SWITCH],
  act: async (cli, line) => {
    const given = { ...line.fields, job_id: wordOf(line.words, 'extend') }
    const job = await cli.client.call('extend_job', checkedInput('extend_job', given))
    const text = `each command may now run ${job.exec_timeout_s} s · ${job.state} · ${job.job_id}`
    cli.out(line.switches.has('json') ? `${visibleJson(job)}\n` : `${text}\n`)
    return 0
  },
}

/**
 * `muster resume`: lets a job that is paused between two batches go on. It names the batch at which it has seen the job
 * paused, so it cannot open a later gate.
 */
export const resumeCommand: ServerCommand = {
  flags: [],
  switches: [JSON_SWITCH],
  act: async (cli, { words, switches }) => {
    const job_id = wordOf(words, 'resume')
    const { state, batch } = await cli.client.call('get_job', checkedInput('get_job', { job_id }))
    const input = checkedInput('resume_job', { job_id, batch: state === 'paused' ? batch?.number : undefined })
    const job = await cli.client.call('resume_job', input)
    cli.out(switches.has('json') ? `${visibleJson(job)}\n` : `${summaryLine(job)}\n`)
    return 0
  },
}

/** `muster concurrency`: changes how many runs of a job may be in flight at once. */
export const concurrencyCommand: ServerCommand = {
  flags: [],
  switches: [JSON_SWITCH],
  act: async (cli, { words, switches }) => {
    const [job_id, concurrency, ...more] = words
    if (concurrency === undefined || more.length > 0) {
      throw new MusterError('invalid_request', 'muster concurrency takes a job ID and a number, or a percentage')
    }
    const input = checkedInput('set_concurrency', { job_id, concurrency: numberOrText(concurrency) })
    const job = await cli.client.call('set_concurrency', input)
    const text = `up to ${job.concurrency} at once · ${job.state} · ${job.job_id}`
    cli.out(switches.has('json') ? `${visibleJson(job)}\n` : `${text}\n`)
    return 0
  },
}

/**
 * The job ID, for a command that takes no other word. `hint` is added when there are more.
 * @throws {MusterError} invalid_request when there is not exactly one word
 */
export function wordOf(words: readonly string[], command: string, hint = ''): string {
  const [word, ...more] = words
  if (word !== undefined && more.length === 0) return word
  if (word === undefined) {
    throw new MusterError('invalid_request', `muster ${command} takes a job ID; muster jobs lists them`)
  }
  throw new MusterError('invalid_request', `muster ${command} takes one job ID, and was given "${more[0]}" too${hint}`)
}
