/**
 * What a server signs: of a job everything that a worker acts on, and of the orders that widen it what was asked for.
 * libs/trust signs and checks signatures. What is told here by number or by digest is in the record of the job, too,
 * and a worker compares the two.
 *
 * A cancel only narrows what is done, and is not signed.
 */
import { createHash } from 'node:crypto'
import { Concurrency, type JobSpec } from '@muster/contract'
import { z } from 'zod'
import { ask, type Ledger } from '../redis/open-ledger.ts'
import { lastStartMs } from './last-start.ts'

/** Signs a job, or an order that widens one. */
export type SignWork = (kind: 'job' | 'order', terms: object) => Promise<string>

/** Checks a signed text; `refused` says in words why it does not count. */
export type CheckWork = (
  kind: 'job' | 'order',
  text: string,
) => Promise<{ readonly terms: unknown } | { readonly refused: string }>

/** Hosts of the frozen set that share a digest: a worker reads so many to be sure of one. */
export const HOSTS_PER_DIGEST = 256

/** The short fields of a job's record that are signed as they stand; one that is absent must be absent. */
export const SIGNED_FIELDS = [
  'owner',
  'key_id',
  'key_runs',
  'max_errors',
  'on_budget',
  'host_limit',
  'host_kind',
  'start_within_ms',
  'kill_grace_ms',
  'retries',
  'backoff_ms',
  'retry_on',
  'health_timeout_ms',
  'force',
  'batches',
  'batch_pause_ms',
  'gate',
  'secrets_of',
  'keep_secrets',
] as const

/** The other fields of a new job, each with the reason why it is not signed as it stands. */
export const UNSIGNED_FIELDS = {
  spec: 'its digest is signed, as that of a text',
  key_hosts: 'its digest is signed, as that of a text',
  exec_timeout_ms: 'the spec has it, and signed orders raise it',
  concurrency: 'the spec has it, and signed orders change it',
  batch: 'moves on; a worker compares the batch of a run with the signed batches and gates',
  batch_from: 'as batch',
  batch_end: 'as batch',
  title: 'a name for people',
  targets: 'for people; the hosts that they selected are signed',
  selection: 'for people; the hosts that they selected are signed',
  rerun_of: 'for people; its hosts, its spec and secrets_of are signed',
  shared: 'a notice for people',
  traceparent: 'for traces',
} as const

/** A field that a server gives a new job. */
export type FieldName = (typeof SIGNED_FIELDS)[number] | keyof typeof UNSIGNED_FIELDS

const millis = z.number().int().min(0)

/** What is signed of a job. Times are milliseconds since 1970, by the clock of the server. */
export const JobTerms = z.object({
  job: z.string(),
  signed_at: millis,
  /** The last moment at which an attempt may start; orders may move it. */
  not_after: millis,
  total: z.number().int().min(1),
  /** A digest of the request, its owner and its idempotency key, by which it is known again under that key. */
  request: z.string().optional(),
  /** A digest of each {@link HOSTS_PER_DIGEST} names of the frozen set, in order. */
  hosts: z.array(z.string()),
  /** Digests of the texts of the job: `spec`, `key_hosts`, and those beside the record. */
  texts: z.record(z.string(), z.string()),
  /** {@link SIGNED_FIELDS}, as they are stored. */
  fields: z.record(z.string(), z.string()),
})
export type JobTerms = z.infer<typeof JobTerms>

/** What is signed of an order: one of its last three fields says what it widens. */
export const OrderTerms = z.object({
  job: z.string(),
  signed_at: millis,
  exec_timeout_ms: millis.optional(),
  concurrency: Concurrency.optional(),
  /** The batch, counted from 0, after which the job may go on. */
  after_batch: z.number().int().min(0).optional(),
})
export type OrderTerms = z.infer<typeof OrderTerms>

/** Where the last order of each kind is kept; each gate has its own. */
export const orderNames = {
  execTimeout: 'exec_timeout',
  concurrency: 'concurrency',
  gate: (afterBatch: number) => `gate:${afterBatch}`,
} as const

/** The texts and the short fields of a job, as they are stored. */
export type JobRecord = {
  readonly texts: Readonly<Record<string, string | Buffer>>
  readonly fields: Readonly<Record<string, string | undefined>>
}

/** What a server signs of a job that it is about to submit. */
export function jobTerms(
  job: { jobId: string; spec: JobSpec; hosts: readonly string[]; nowMs: number; request: string },
  { texts, fields }: JobRecord,
): JobTerms {
  const { jobId, spec, hosts, nowMs, request } = job
  return {
    job: jobId,
    signed_at: nowMs,
    not_after: nowMs + lastStartMs(spec, hosts.length),
    total: hosts.length,
    request,
    hosts: hostDigests(hosts),
    texts: Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, digestOf(text)])),
    fields: Object.fromEntries(
      SIGNED_FIELDS.flatMap((name) => (fields[name] === undefined ? [] : [[name, fields[name]] as const])),
    ),
  }
}

/** A signed order for a job; '' when the server does not sign, or there is nothing to order. */
export async function signedOrder(
  sign: SignWork | undefined,
  jobId: string,
  order: Omit<OrderTerms, 'job' | 'signed_at'> | undefined,
): Promise<string> {
  if (sign === undefined || order === undefined) return ''
  return await sign('order', { job: jobId, signed_at: Date.now(), ...order } satisfies OrderTerms)
}

/** What of a record is not as it was signed, in words; undefined when all is. Sealed secrets are compared when read. */
export function whatDiffers(terms: JobTerms, { texts, fields }: JobRecord): string | undefined {
  for (const name of new Set([...Object.keys(terms.texts), ...Object.keys(texts)])) {
    const [signed, text] = [terms.texts[name], texts[name]]
    if (name === 'secrets') continue
    if (text === undefined || signed !== digestOf(text)) return TEXT_WORDS[name] ?? name
  }
  const names = new Set([...SIGNED_FIELDS, ...Object.keys(terms.fields)])
  const name = [...names].find((each) => terms.fields[each] !== fields[each])
  return name === undefined
    ? undefined
    : `${name} (${shown(fields[name])}, and ${shown(terms.fields[name])} was signed)`
}

const TEXT_WORDS: Readonly<Record<string, string>> = {
  spec: 'the command or an option of it',
  key_hosts: 'the hosts that its API key may touch',
  script: 'its script',
  stdin: 'its stdin',
}

function shown(value: string | undefined): string {
  return value === undefined ? 'none' : JSON.stringify(value.slice(0, 60))
}

/** The digest of a text of a job. */
export function digestOf(text: string | Buffer): string {
  return createHash('sha256').update(text).digest('base64url')
}

/** Digests of the hosts of a job, in chunks. */
export function hostDigests(hosts: readonly string[]): string[] {
  const digests: string[] = []
  for (let from = 0; from < hosts.length; from += HOSTS_PER_DIGEST) {
    digests.push(digestOf(JSON.stringify(hosts.slice(from, from + HOSTS_PER_DIGEST))))
  }
  return digests
}

/**
 * What was signed of a job under these names: `job`, or one of {@link orderNames}. Undefined where there is nothing.
 * @throws {MusterError} ledger_unavailable
 */
export async function readSigned(
  { redis, keys }: Ledger,
  jobId: string,
  names: readonly string[],
): Promise<Array<string | undefined>> {
  const found = await ask(redis, () => redis.hmget(keys.signed(jobId), ...names), jobId)
  return found.map((text) => text ?? undefined)
}

/**
 * Those hosts of the frozen set that share a digest, counted from 0.
 * @throws {MusterError} ledger_unavailable
 */
export async function readHostsOfDigest({ redis, keys }: Ledger, jobId: string, chunk: number): Promise<string[]> {
  const from = chunk * HOSTS_PER_DIGEST
  return await ask(redis, () => redis.lrange(keys.hosts(jobId), from, from + HOSTS_PER_DIGEST - 1), jobId)
}

/**
 * The short fields of a job that were signed, as they are stored now. `names`: those of the terms.
 * @throws {MusterError} ledger_unavailable
 */
export async function readSignedFields(
  { redis, keys }: Ledger,
  jobId: string,
  names: readonly string[],
): Promise<JobRecord['fields']> {
  const all = [...new Set([...SIGNED_FIELDS, ...names])]
  const found = await ask(redis, () => redis.hmget(keys.job(jobId), ...all), jobId)
  return Object.fromEntries(all.map((name, i) => [name, found[i] ?? undefined]))
}
