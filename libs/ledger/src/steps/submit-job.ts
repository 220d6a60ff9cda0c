/**
 * Accepting a job: one atomic step that stores it with its frozen hosts, then tickets for the first runs.
 * Resolving the hosts is libs/inventory's; whether the caller may is libs/access's.
 */
import { createHash, randomBytes } from 'node:crypto'
import { type Input, JobSpec, MusterError, type Selection } from '@muster/contract'
import { z } from 'zod'
import { dropTexts, splitTexts, storeTexts, type TextName } from '../job/job-texts.ts'
import { rolloutOf } from '../job/rollout.ts'
import { sharedMachines } from '../read/job-notices.ts'
import { ask, FULL, type Ledger } from '../redis/open-ledger.ts'
import { runScript } from '../redis/scripts.ts'
import { releaseTickets } from '../tickets/release-tickets.ts'

const Answer = z.array(z.string())

/** How long an idempotency key stands for its job. */
const IDEMPOTENCY_S = 24 * 3600

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567'

/** A job to be accepted. */
export type NewJob = {
  request: Input<'submit_job'>
  /** The resolved names, in order, without repetition; at least one. */
  hosts: readonly string[]
  /**
   * The machine of each of them, named after one of its hosts: hosts of one machine share its places. Absent: each is a
   * machine of its own.
   */
  machines?: readonly string[]
  /** Whose job it is: the owner of the API key that asks. */
  owner: string
  /** The ID of that key. Absent: it is that of the owner. */
  keyId?: string
  /** W3C trace context of the call, valid. Absent when none came. */
  traceparent?: string
  /** The seed with which hosts were drawn or shuffled. Absent when nothing was left to chance. */
  seed?: number
  /** The job that is run again, on those of its hosts that had ended in these states. Absent for any other. */
  rerun?: { of: string; states: readonly string[] }
  /** Whether it goes past a breaker that is open because the host could not be reached: to find out whether it can. */
  isTest?: boolean
}

/**
 * Stores a job and lets its first runs go. `created` is false when the same request came before under the same
 * idempotency key: then it is that job's ID.
 * @throws {MusterError} idempotency_conflict when the key stood for another request
 * @throws {MusterError} ledger_full when Redis has no room for it: nothing was stored
 * @throws {MusterError} ledger_unavailable with `details.job_id`: the ID under which the job would be found, should
 *   it have been stored after all
 */
export async function submitJob(ledger: Ledger, job: NewJob): Promise<{ jobId: string; created: boolean }> {
  const { redis, keys } = ledger
  const { targets, idempotency_key: idempotencyKey } = job.request
  const { spec, texts } = splitTexts(JobSpec.parse(job.request))
  const specText = JSON.stringify(spec)
  const jobId = newJobId()
  const title = job.request.title ?? programName(job.request)
  const machines = job.machines ?? job.hosts
  const elsewhere = machines.flatMap((machine, i) => (machine === job.hosts[i] ? [] : [`${i}:${machine}`]))
  const rollout = rolloutOf(spec, job.hosts.length)
  const asked = selectionOf(job.request, job.request.seed)
  const fields: Array<[string, string | number]> = [
    ['concurrency', rollout.concurrency],
    ['max_errors', rollout.maxErrors],
    ['on_budget', spec.on_budget],
    ['host_limit', rollout.hostLimit],
    ['host_kind', spec.read_only ? 'read' : 'change'],
    ['selection', JSON.stringify(selectionOf(job.request, job.seed))],
    ['start_within_ms', toMs(spec.start_deadline_s)],
    ['spec', specText],
    ['targets', targets],
    ['title', title],
    ['owner', job.owner],
    ['exec_timeout_ms', toMs(spec.exec_timeout_s)],
    ['retries', spec.retries],
    ['backoff_ms', toMs(spec.retry_backoff_s)],
    // Commas at both ends, so that a script finds a word by its commas.
    ['retry_on', `,${(spec.retry_on ?? []).join(',')},`],
    // Of hosts that are one machine all but the first are elsewhere.
    ...(elsewhere.length === 0 ? [] : sharedMachines(job.hosts, machines)),
  ]
  if (job.keyId !== undefined) fields.push(['key_id', job.keyId])
  if (job.traceparent !== undefined) fields.push(['traceparent', job.traceparent])
  if (job.rerun !== undefined) fields.push(['rerun_of', job.rerun.of])
  if (spec.force || job.isTest === true) fields.push(['force', spec.force ? 'all' : 'connect'])
  const [firstBatch] = rollout.batches
  if (firstBatch !== undefined) {
    fields.push(['batches', rollout.batches.join(',')], ['batch_pause_ms', toMs(spec.batch_pause_s)])
    fields.push(['gate', spec.gate], ['batch', 0], ['batch_from', 0])
    fields.push(['batch_end', Math.min(firstBatch, job.hosts.length)])
  }
  const areStored = await storeTexts(ledger, jobId, texts)
  const lengthOf = (name: TextName) => texts.find((text) => text.name === name)?.bytes.length ?? ''
  const given = {
    jobId,
    idempotencyKey: idempotencyKey === undefined ? '' : keys.idempotency(job.owner, digest(idempotencyKey)),
    digest: digest(JSON.stringify(job.rerun ?? [targets, asked, specText, ...texts.map(({ sha256 }) => sha256)])),
    idempotencyS: IDEMPOTENCY_S,
    startWithinMs: toMs(spec.start_deadline_s),
    withinMs: spec.job_timeout_s === undefined ? '' : toMs(spec.job_timeout_s),
    scriptBytes: lengthOf('script'),
    stdinBytes: lengthOf('stdin'),
    sharedMachines: elsewhere.join(','),
    fieldCount: fields.length,
  }
  const following = [...fields.flat(), ...job.hosts]
  const answer = await ask(redis, () => runScript(ledger, 'accept', given, following), jobId)
  const [word, seenJobId = ''] = Answer.parse(answer)
  if (word !== 'accepted') await dropTexts(ledger, jobId, texts)
  if (word === 'seen') return { jobId: seenJobId, created: false }
  if (word === 'conflict') throw conflict(seenJobId)
  // Texts that found no room are incomplete; but the same request may have been accepted before.
  if (word === 'full' || !areStored) throw new MusterError('ledger_full', FULL)
  if (word === 'incomplete') {
    throw new MusterError('ledger_unavailable', 'Redis has lost a part of the job while it was stored')
  }
  await releaseTickets(ledger, answer)
  return { jobId, created: true }
}

function conflict(jobId: string): MusterError {
  return new MusterError('idempotency_conflict', `the idempotency key was used for another request, job ${jobId}`, {
    details: { field: 'idempotency_key', job_id: jobId },
  })
}

function toMs(seconds: number): number {
  return Math.round(seconds * 1_000)
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

/** `job_` and 128 random bits in base 32: unguessable, and one word to a double click. */
function newJobId(): string {
  let bits = BigInt(`0x${randomBytes(16).toString('hex')}`)
  let text = ''
  for (let i = 0; i < 26; i += 1) {
    text = BASE32.charAt(Number(bits & 31n)) + text
    bits >>= 5n
  }
  return `job_${text}`
}

/** What was asked for beside the expression. */
function selectionOf(request: Input<'submit_job'>, seed: number | undefined): Selection {
  const { exclude = null, pick = null, order, limit = null } = request
  return { exclude, pick, order, limit, seed: seed ?? null }
}

/**
 * The name of the program, for lists and Bull Board. Not the command line: that may hold a password.
 */
function programName(request: { command?: string; argv?: string[]; script?: string }): string {
  if (request.script !== undefined) return 'script'
  const words = request.argv ?? request.command?.trim().split(/\s+/) ?? []
  const program = words.find((word) => !/^[A-Za-z_][A-Za-z0-9_]*=/.test(word)) ?? ''
  const name = program.slice(program.lastIndexOf('/') + 1)
  return /^[\w.+-]{1,40}$/.test(name) ? name : 'command'
}
