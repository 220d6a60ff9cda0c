/**
 * Accepts a job: one atomic step stores it with its frozen hosts, and then tickets are issued for the first runs.
 * libs/inventory resolves the hosts, and libs/access decides whether the caller may submit.
 */
import { createHash, randomBytes } from 'node:crypto'
import { type Input, JobSpec, MusterError, type Selection } from '@muster/contract'
import { z } from 'zod'
import { dropTexts, type JobText, splitTexts, storeTexts, type TextName } from '../job/job-texts.ts'
import { rolloutOf } from '../job/rollout.ts'
import { workDigest } from '../job/sealed-secrets.ts'
import { notAsSigned, readTerms } from '../job/signed-record.ts'
import { type CheckWork, jobTerms, type SignWork } from '../job/signed-work.ts'
import { sharedMachines } from '../read/job-notices.ts'
import { ask, FULL, type Ledger } from '../redis/open-ledger.ts'
import { runScript } from '../redis/scripts.ts'
import { releaseTickets } from '../tickets/ticket-queue.ts'

const Answer = z.array(z.string())

/** A field of the record of a job, and its value. */
type Field = [string, string | number]

/** How many seconds an idempotency key stands for its job. */
const IDEMPOTENCY_S = 24 * 3600

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567'

/** What limits the API key of a job while the job goes on. */
export type JobKeyLimits = {
  /** Target expressions that must all select a host, or it is not touched. */
  readonly hosts: readonly string[]
  /** The limits that count, with the key that counts: jobs within an hour, and runs in flight. Null: no limit. */
  readonly shares: ReadonlyArray<{
    readonly key_id: string
    readonly max_jobs_per_hour: number | null
    readonly max_concurrency: number | null
  }>
}

/**
 * The secrets of a job. They are sealed for it, or kept by the job that it runs again. `names` are no secrets. `mac` is
 * a digest by a key that is not in Redis: it tells whether the same request comes with the same secrets.
 */
export type NewSecrets = { readonly names: readonly string[] } & (
  | {
      readonly seal: (what: { jobId: string; hosts: readonly string[]; work: string }) => Promise<string>
      readonly mac: string
      /** Whether they stay when the job has ended. */
      readonly isKept: boolean
    }
  | { readonly keptBy: string }
)

/** A job to accept. */
export type NewJob = {
  /** Without its secrets. */
  request: Input<'submit_job'>
  /** Absent: it has none. */
  secrets?: NewSecrets
  /** The names of the resolved hosts, in order, each once; at least one. */
  hosts: readonly string[]
  /**
   * The machine of each host, named after one of its hosts. Hosts of one machine share its places. Absent: each host is
   * a machine of its own.
   */
  machines?: readonly string[]
  /** The owner of the API key that submits it; the job is theirs. */
  owner: string
  /** The ID of that API key. Absent: it is the owner's name, and the job goes on whatever becomes of a key. */
  keyId?: string
  /** What limits that key, where the ledger and the workers see to it. Absent: nothing. */
  keyLimits?: JobKeyLimits
  /** The valid W3C trace context of the call. Absent when there was none. */
  traceparent?: string
  /** The seed with which hosts were drawn or shuffled. Absent when they were not. */
  seed?: number
  /** The job that this one reruns, on the hosts that had ended in these states. Absent when this is no rerun. */
  rerun?: { of: string; states: readonly string[] }
  /** Signs what the workers are to do. Absent: nothing is signed. */
  sign?: SignWork
  /** Checks that a job which Redis has under the idempotency key is the one. Absent: Redis is believed. */
  check?: CheckWork
  /** Whether it tests the connection, and so goes past a breaker that is open because the host could not be reached. */
  isTest?: boolean
}

/**
 * Stores a job and releases its first runs. `created` is false when the same request came before under the same
 * idempotency key; then `jobId` is the earlier job.
 * @throws {MusterError} idempotency_conflict when the key stood for another request; signature_invalid when it stands
 *   for a job that no server has signed for this one
 * @throws {MusterError} rate_limited when the key, or one above it, has submitted its jobs of this hour
 * @throws {MusterError} ledger_full when Redis has no room for it; nothing was stored
 * @throws {MusterError} ledger_unavailable; if the job was stored after all, its ID is `details.job_id`
 */
export async function submitJob(ledger: Ledger, job: NewJob): Promise<{ jobId: string; created: boolean }> {
  const { redis, keys } = ledger
  const { targets, idempotency_key: idempotencyKey } = job.request
  const { secrets } = job
  const whole = JobSpec.parse({ ...job.request, ...(secrets === undefined ? {} : { secrets: secrets.names }) })
  const { spec, texts } = splitTexts(whole)
  const specText = JSON.stringify(spec)
  const jobId = newJobId()
  const title = job.request.title ?? programName(job.request)
  const machines = job.machines ?? job.hosts
  const elsewhere = machines.flatMap((machine, i) => (machine === job.hosts[i] ? [] : [`${i}:${machine}`]))
  const rollout = rolloutOf(spec, job.hosts.length)
  const asked = selectionOf(job.request, job.request.seed)
  const fields: Field[] = [
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
    ['kill_grace_ms', toMs(spec.kill_grace_s)],
    ['retries', spec.retries],
    ['backoff_ms', toMs(spec.retry_backoff_s)],
    // With commas at both ends, so that retry.lua finds a word between commas.
    ['retry_on', `,${(spec.retry_on ?? []).join(',')},`],
    ...(elsewhere.length === 0 ? [] : sharedMachines(job.hosts, machines)),
  ]
  if (job.keyId !== undefined) fields.push(['key_id', job.keyId])
  const { hosts: keyHosts = [], shares = [] } = job.keyLimits ?? {}
  if (keyHosts.length > 0) fields.push(['key_hosts', JSON.stringify(keyHosts)])
  const keyRuns = sharesText(shares, 'max_concurrency')
  if (keyRuns !== '') fields.push(['key_runs', keyRuns])
  if (spec.health_check !== undefined) fields.push(['health_timeout_ms', toMs(spec.health_check.timeout_s)])
  if (job.traceparent !== undefined) fields.push(['traceparent', job.traceparent])
  if (job.rerun !== undefined) fields.push(['rerun_of', job.rerun.of])
  if (spec.force || job.isTest === true) fields.push(['force', spec.force ? 'all' : 'connect'])
  const [firstBatch] = rollout.batches
  if (firstBatch !== undefined) {
    fields.push(['batches', rollout.batches.join(',')], ['batch_pause_ms', toMs(spec.batch_pause_s)])
    fields.push(['gate', spec.gate], ['batch', 0], ['batch_from', 0])
    fields.push(['batch_end', Math.min(firstBatch, job.hosts.length)])
  }
  if (secrets !== undefined && 'keptBy' in secrets) fields.push(['secrets_of', secrets.keptBy])
  if (secrets !== undefined && 'isKept' in secrets && secrets.isKept) fields.push(['keep_secrets', 1])
  const besides = [...texts, ...(await sealed(job, jobId, whole))]
  const areStored = await storeTexts(ledger, jobId, besides)
  const lengthOf = (name: TextName) => besides.find((text) => text.name === name)?.bytes.length ?? ''
  const asIs = job.rerun ?? [targets, asked, specText, ...texts.map(({ sha256 }) => sha256)]
  const sameRequest = secrets !== undefined && 'mac' in secrets ? [asIs, secrets.mac, secrets.isKept] : asIs
  const sameDigest = digest(JSON.stringify(sameRequest))
  // With the key and whose it is: last night's job must not answer for tonight's, which asks for the same.
  const request = digest(JSON.stringify([job.owner, idempotencyKey ?? null, sameDigest]))
  const signed = await signedJob(job, { jobId, spec: whole, fields, besides, request })
  const given = {
    jobId,
    idempotencyKey: idempotencyKey === undefined ? '' : keys.idempotency(job.owner, digest(idempotencyKey)),
    digest: sameDigest,
    idempotencyS: IDEMPOTENCY_S,
    startWithinMs: toMs(spec.start_deadline_s),
    withinMs: spec.job_timeout_s === undefined ? '' : toMs(spec.job_timeout_s),
    scriptBytes: lengthOf('script'),
    stdinBytes: lengthOf('stdin'),
    secretsBytes: lengthOf('secrets'),
    sharedMachines: elsewhere.join(','),
    hourly: sharesText(shares, 'max_jobs_per_hour'),
    signed,
    fieldCount: fields.length,
  }
  const following = [...fields.flat(), ...job.hosts]
  const answer = await ask(redis, () => runScript(ledger, 'accept', given, following), jobId)
  const [word, seenJobId = '', ...more] = Answer.parse(answer)
  if (word !== 'accepted') await dropTexts(ledger, jobId, besides)
  if (word === 'seen') {
    await requireSame(ledger, job.check, seenJobId, request)
    return { jobId: seenJobId, created: false }
  }
  if (word === 'conflict') throw conflict(seenJobId)
  if (word === 'spent') throw spent(seenJobId, more)
  // Texts without room were not stored; but the same request may have been accepted before, which is no error.
  if (word === 'full' || !areStored) throw new MusterError('ledger_full', FULL)
  if (word === 'incomplete') {
    throw new MusterError('ledger_unavailable', 'Redis lost a part of the job while it was being stored')
  }
  await releaseTickets(ledger, answer)
  return { jobId, created: true }
}

/** The sealed secrets of the job as a text beside it; none when there are none, or they are another job's. */
async function sealed({ secrets, hosts }: NewJob, jobId: string, spec: JobSpec): Promise<JobText[]> {
  if (secrets === undefined || !('seal' in secrets)) return []
  const text = await secrets.seal({ jobId, hosts, work: workDigest(spec) })
  return [{ name: 'secrets', bytes: Buffer.from(text) }]
}

/** Whoever can write to Redis could have another job answer for this one. */
async function requireSame(ledger: Ledger, check: CheckWork | undefined, jobId: string, request: string) {
  if (check === undefined) return
  const terms = await readTerms(ledger, check, jobId)
  if ('refused' in terms) throw notAsSigned(jobId, terms.refused)
  if (terms.request !== request) throw notAsSigned(jobId, 'it was signed for another request than this one')
}

/** What the server has signed of the job; '' when it does not sign. */
async function signedJob(
  { hosts, sign }: NewJob,
  made: { jobId: string; spec: JobSpec; fields: Field[]; besides: readonly JobText[]; request: string },
): Promise<string> {
  if (sign === undefined) return ''
  const { fields, besides, ...rest } = made
  const stored = Object.fromEntries(fields.map(([name, value]) => [name, String(value)]))
  const { spec: specText = '', key_hosts: keyHosts } = stored
  const texts = {
    spec: specText,
    ...(keyHosts !== undefined && { key_hosts: keyHosts }),
    ...Object.fromEntries(besides.map(({ name, bytes }) => [name, bytes])),
  }
  return await sign('job', jobTerms({ ...rest, hosts, nowMs: Date.now() }, { texts, fields: stored }))
}

function conflict(jobId: string): MusterError {
  return new MusterError('idempotency_conflict', `the idempotency key was used for another request, job ${jobId}`, {
    details: { field: 'idempotency_key', job_id: jobId },
  })
}

/** `key:number,key:number` for those with the limit. */
function sharesText(shares: JobKeyLimits['shares'], limit: 'max_jobs_per_hour' | 'max_concurrency'): string {
  return shares.flatMap((share) => (share[limit] === null ? [] : [`${share.key_id}:${share[limit]}`])).join(',')
}

function spent(keyId: string, [most = '', waitMs = '']: readonly string[]): MusterError {
  const waitS = Math.max(1, Math.ceil(Number(waitMs) / 1_000))
  const message =
    `max_jobs_per_hour: the API key ${keyId}, with the keys below it, has submitted its ${most} jobs of this hour; ` +
    `the next one in ${waitS} s`
  return new MusterError('rate_limited', message, { details: { retry_after_s: waitS } })
}

function toMs(seconds: number): number {
  return Math.round(seconds * 1_000)
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

/** `job_` and 128 random bits in base 32: nobody can guess it, and a double click selects it. */
function newJobId(): string {
  let bits = BigInt(`0x${randomBytes(16).toString('hex')}`)
  let text = ''
  for (let i = 0; i < 26; i += 1) {
    text = BASE32.charAt(Number(bits & 31n)) + text
    bits >>= 5n
  }
  return `job_${text}`
}

/** How the hosts were selected beside the target expression. */
function selectionOf(request: Input<'submit_job'>, seed: number | undefined): Selection {
  const { exclude = null, pick = null, order, limit = null } = request
  return { exclude, pick, order, limit, seed: seed ?? null }
}

/** The name of the program, for lists and Bull Board. Not the command line, which may hold a password. */
function programName(request: { command?: string; argv?: string[]; script?: string }): string {
  if (request.script !== undefined) return 'script'
  const words = request.argv ?? request.command?.trim().split(/\s+/) ?? []
  const program = words.find((word) => !/^[A-Za-z_][A-Za-z0-9_]*=/.test(word)) ?? ''
  const name = program.slice(program.lastIndexOf('/') + 1)
  return /^[\w.+-]{1,40}$/.test(name) ? name : 'command'
}
