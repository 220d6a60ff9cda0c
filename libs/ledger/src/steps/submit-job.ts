/**
 * Accepts a job: one atomic step stores it with its frozen hosts, and then tickets are issued for the first runs.
 * libs/inventory resolves the hosts, and libs/access decides whether the caller may submit.
 */
import { createHash, randomBytes } from 'node:crypto'
import { JobSpec, MusterError } from '@muster/contract'
import { z } from 'zod'
import { dropTexts, type JobText, splitTexts, storeTexts, type TextName } from '../job/job-texts.ts'
import { rolloutOf } from '../job/rollout.ts'
import { workDigest } from '../job/sealed-secrets.ts'
import { notAsSigned, readTerms } from '../job/signed-record.ts'
import { type CheckWork, jobTerms } from '../job/signed-work.ts'
import { ask, FULL, type Ledger } from '../redis/open-ledger.ts'
import { runScript } from '../redis/scripts.ts'
import { releaseTickets } from '../tickets/ticket-queue.ts'
import { type NewJob, sharesText } from './new-job.ts'
import { type RecordField, recordFields, selectionOf, toMs } from './record-fields.ts'

const Answer = z.array(z.string())

/** How many seconds an idempotency key stands for its job. */
const IDEMPOTENCY_S = 24 * 3600

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567'

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
  const { request, owner, hosts, secrets, keyLimits } = job
  const { idempotency_key: key } = request
  const whole = JobSpec.parse({ ...request, ...(secrets === undefined ? {} : { secrets: secrets.names }) })
  const { spec, texts } = splitTexts(whole)
  const jobId = newJobId()
  const fields = recordFields(job, spec, rolloutOf(spec, hosts.length))
  const besides = [...texts, ...(await sealed(job, jobId, whole))]
  const areStored = await storeTexts(ledger, jobId, besides)
  const lengthOf = (name: TextName) => besides.find((text) => text.name === name)?.bytes.length ?? ''
  const same = sameDigest(job, spec, texts)
  const asked = requestDigest(job, same)
  const signed = await signedJob(job, { jobId, spec: whole, fields, besides, request: asked })
  const given = {
    jobId,
    idempotencyKey: key === undefined ? '' : keys.idempotency(owner, digest(key)),
    digest: same,
    idempotencyS: IDEMPOTENCY_S,
    startWithinMs: toMs(spec.start_deadline_s),
    withinMs: spec.job_timeout_s === undefined ? '' : toMs(spec.job_timeout_s),
    scriptBytes: lengthOf('script'),
    stdinBytes: lengthOf('stdin'),
    secretsBytes: lengthOf('secrets'),
    sharedMachines: machinesElsewhere(job),
    hourly: sharesText(keyLimits?.shares ?? [], 'max_jobs_per_hour'),
    signed,
    fieldCount: fields.length,
  }
  const following = [...fields.flat(), ...hosts]
  const answer = await ask(redis, () => runScript(ledger, 'accept', given, following), jobId)
  const [word, seenJobId = '', ...more] = Answer.parse(answer)
  if (word !== 'accepted') await dropTexts(ledger, jobId, besides)
  if (word === 'seen') {
    await requireSame(ledger, job.check, seenJobId, asked)
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

/** What tells whether the same is asked for again under an idempotency key. */
function sameDigest(
  { request, rerun, secrets }: NewJob,
  spec: JobSpec,
  texts: ReadonlyArray<{ readonly sha256: string }>,
): string {
  const asked = selectionOf(request, request.seed)
  const asIs = rerun ?? [request.targets, asked, JSON.stringify(spec), ...texts.map(({ sha256 }) => sha256)]
  return digest(JSON.stringify(secrets !== undefined && 'mac' in secrets ? [asIs, secrets.mac, secrets.isKept] : asIs))
}

/** With the key and whose it is: last night's job must not answer for tonight's, which asks for the same. */
function requestDigest({ request, owner }: NewJob, same: string): string {
  return digest(JSON.stringify([owner, request.idempotency_key ?? null, same]))
}

/** The machines of hosts that are not one by themselves, as `index:machine,index:machine`. */
function machinesElsewhere({ hosts, machines = hosts }: NewJob): string {
  return machines.flatMap((machine, i) => (machine === hosts[i] ? [] : [`${i}:${machine}`])).join(',')
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
  made: { jobId: string; spec: JobSpec; fields: readonly RecordField[]; besides: readonly JobText[]; request: string },
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

function spent(keyId: string, [most = '', waitMs = '']: readonly string[]): MusterError {
  const waitS = Math.max(1, Math.ceil(Number(waitMs) / 1_000))
  const message =
    `max_jobs_per_hour: the API key ${keyId}, with the keys below it, has submitted its ${most} jobs of this hour; ` +
    `the next one in ${waitS} s`
  return new MusterError('rate_limited', message, { details: { retry_after_s: waitS } })
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
