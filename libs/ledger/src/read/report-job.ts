/** The report of a job: its counts, its command, and what went wrong in it so far. One round trip (report.lua). */
import { foldHosts, JobId, type JobReport, JobSpec, RolloutOptions, shellWord, shortened } from '@muster/contract'
import { z } from 'zod'
import { isoTime, orDamaged } from '../job/stored-job.ts'
import { ask, type Ledger } from '../redis/open-ledger.ts'
import { runScript } from '../redis/scripts.ts'
import { groupByState } from './group-by-state.ts'
import { HOLDER_FIELDS } from './holders.ts'
import { HOSTS_LIMIT, noticesOf } from './job-notices.ts'
import { readJobFields } from './read-job.ts'
import { runOf } from './read-run.ts'

/** Longest command text a report shows. */
const COMMAND_LIMIT_CHARS = 2_000
/** The most that a report names or tells of each. */
const LIMITS = {
  wrongLimit: 200,
  restLimit: 200,
  /** Runs with a notice, and hosts that a notice names. */
  noticeLimit: HOSTS_LIMIT,
  /** With more host keys that several hosts showed, one notice tells of all. */
  keyLimit: 5,
  rerunLimit: 100,
  /** Runs that rest, of which some wait for their machine. */
  waitLimit: 50,
  /** A character has four bytes at most. */
  scriptBytes: 4 * COMMAND_LIMIT_CHARS,
}

/** A hash as Redis returns it from a script: field, value, field, value. */
const Fields = z
  .array(z.string())
  .transform((flat) => Object.fromEntries(flat.flatMap((name, i) => (i % 2 === 0 ? [[name, flat[i + 1] ?? '']] : []))))
const Runs = z.array(
  z
    .tuple([z.coerce.number().int(), z.string(), Fields])
    .transform(([index, host, fields]) => ({ index, host, fields })),
)
const SameKey = z
  .tuple([z.string(), z.coerce.number().int(), z.array(z.string())])
  .transform(([first, count, hosts]) => ({ first, count, hosts }))
const Waiting = z
  .tuple([z.string(), ...HOLDER_FIELDS])
  .transform(([host, jobId, untilMs, count]) => ({ host, jobId, untilMs, count }))

/** What report.lua returns. */
const Report = z
  .tuple([
    Fields,
    Runs,
    z.coerce.number().int(),
    Runs,
    Runs,
    z.array(SameKey),
    z.array(z.string()),
    z.array(z.string()),
    z.string(),
    z.array(Waiting),
  ])
  .transform(([fields, problems, wrong, unreleased, noticed, sameKey, tripped, reruns, script, waiting]) => {
    return { fields, problems, wrong, unreleased, noticed, sameKey, tripped, reruns, script, waiting }
  })

/**
 * A job, its command, and what went wrong in it so far, hosts folded by state and reason. Undefined when there is no
 * such job.
 * @throws {MusterError} job_damaged; ledger_unavailable
 */
export async function reportJob(ledger: Ledger, jobId: string): Promise<JobReport | undefined> {
  const read = () => runScript(ledger, 'report', { jobId, ...LIMITS })
  const answer = await ask(ledger.redis, read, jobId)
  if (Array.isArray(answer) && answer.length === 0) return undefined
  return await orDamaged(jobId, () => toReport(jobId, Report.parse(answer)))
}

function toReport(jobId: string, read: z.infer<typeof Report>): JobReport {
  const { job, stored } = readJobFields(jobId, read.fields)
  const problems = read.problems.map((run) => runOf(jobId, stored, run))
  // Those that ended before the rest by themselves are among the problems.
  const rest = read.unreleased
    .map((run) => runOf(jobId, stored, run))
    .filter((run) => run.queued_at === null && run.ended_at === isoTime(stored.rest_at))
  const spec = JobSpec.parse(JSON.parse(stored.spec))
  return {
    ...job,
    command: commandText(spec, read.script),
    arguments: spec.script_args?.length ? shortened(wordsText(spec.script_args), COMMAND_LIMIT_CHARS) : null,
    options: optionsOf(spec),
    // They come in the order in which they ended; names fold best in that of the set.
    problems: groupByState([...problems, ...rest].sort((a, b) => a.index - b.index)),
    problems_omitted: read.wrong - problems.length + stored.rest_count - rest.length,
    notices: noticesOf(
      stored,
      read.noticed.map((run) => runOf(jobId, stored, run)),
      read.sameKey,
      read.waiting,
    ),
    tripped_by: stored.tripped_at === undefined ? null : foldHosts(read.tripped),
    reruns: JobId.array().parse(read.reruns),
  }
}

/** `beginning` is that of a script that is kept apart from the other options, as it is large. */
function commandText({ command, argv, script }: JobSpec, beginning: string): string {
  return shortened(command ?? script ?? (argv === undefined ? beginning : wordsText(argv)), COMMAND_LIMIT_CHARS)
}

function wordsText(words: readonly string[]): string {
  return words.map(shellWord).join(' ')
}

function optionsOf(spec: JobSpec): RolloutOptions {
  const { health_check: check, ...options } = RolloutOptions.parse(spec)
  return check === undefined
    ? options
    : { ...options, health_check: { ...check, command: shortened(check.command, COMMAND_LIMIT_CHARS) } }
}
