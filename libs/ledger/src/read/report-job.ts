/**
 * The report of a job: its counts, its command, and what went wrong in it so far. One round trip (report.lua). Where
 * ends are checked, the runs of a job that has ended are read, too, once (ended-job.ts).
 */
import {
  foldHosts,
  type Job,
  JobId,
  type JobReport,
  JobSpec,
  RolloutOptions,
  type Run,
  shellWord,
  shortened,
} from '@muster/contract'
import { z } from 'zod'
import { freshVouch, type Vouch } from '../job/signed-end.ts'
import { isoTime, orDamaged } from '../job/stored-job.ts'
import { ask, type Ledger } from '../redis/open-ledger.ts'
import { runScript } from '../redis/scripts.ts'
import { type EndedRuns, endedRuns, withEndedRuns } from './ended-job.ts'
import { groupByState } from './group-by-state.ts'
import { HOLDER_FIELDS } from './holders.ts'
import { HOSTS_LIMIT, noticesOf } from './job-notices.ts'
import { readJobFields } from './read-job.ts'
import { readRuns, runOf } from './read-run.ts'

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
  const answer = await ask(ledger.redis, () => runScript(ledger, 'report', { jobId, ...LIMITS }), jobId)
  if (Array.isArray(answer) && answer.length === 0) return undefined
  const read = await orDamaged(jobId, () => Report.parse(answer))
  const { job, stored } = await orDamaged(jobId, () => readJobFields(jobId, read.fields))
  const ended = await endedRuns(ledger, jobId, stored)
  // Redis may list none of those whose ends are unverified among the runs that went wrong.
  const listed = new Set(read.problems.map(({ index }) => index))
  const unlisted = ended?.unverified.filter((index) => !listed.has(index)).slice(0, LIMITS.wrongLimit) ?? []
  const unverified = await readRuns(ledger, jobId, stored, unlisted)
  const vouch = await freshVouch(ledger)
  return await orDamaged(jobId, () => toReport(vouch, jobId, { ...read, job, stored, ended, unverified }))
}

/** What is read of a job, and how its runs have ended if that is known. */
type Found = z.infer<typeof Report> &
  ReturnType<typeof readJobFields> & {
    readonly ended: EndedRuns | undefined
    readonly unverified: readonly Run[]
  }

function toReport(vouch: Vouch, jobId: string, read: Found): JobReport {
  const { stored, ended } = read
  const job = withEndedRuns(read.job, stored, ended)
  const listed = read.problems.map((run) => runOf(vouch, jobId, stored, run))
  // Those that ended before the rest by themselves are among the problems.
  const rest = read.unreleased
    .map((run) => runOf(vouch, jobId, stored, run))
    .filter((run) => run.queued_at === null && run.ended_at === isoTime(stored.rest_at))
  // A run may be in several of them. They come as they ended; names fold best in the order of the set.
  const byIndex = new Map([...listed, ...rest, ...read.unverified].map((run) => [run.index, run]))
  const problems = [...byIndex.values()].sort((a, b) => a.index - b.index)
  const wrong = ended === undefined ? read.wrong + stored.rest_count : wrongOf(job)
  const spec = JobSpec.parse(JSON.parse(stored.spec))
  return {
    ...job,
    command: commandText(spec, read.script),
    arguments: spec.script_args?.length ? shortened(wordsText(spec.script_args), COMMAND_LIMIT_CHARS) : null,
    options: optionsOf(spec),
    problems: groupByState(problems),
    problems_omitted: Math.max(0, wrong - problems.length),
    notices: noticesOf(
      stored,
      read.noticed.map((run) => runOf(vouch, jobId, stored, run)),
      read.sameKey,
      read.waiting,
    ),
    tripped_by: stored.tripped_at === undefined ? null : foldHosts(read.tripped),
    reruns: JobId.array().parse(read.reruns),
  }
}

/** How many runs of a job that has ended did not succeed. */
function wrongOf({ total, counts }: Job): number {
  return total - (counts.succeeded ?? 0)
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
