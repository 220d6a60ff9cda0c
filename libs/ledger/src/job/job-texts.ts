/**
 * The texts beside a job: its script and its stdin if they are large, and its sealed secrets. Each has a key of its own
 * beside the job's hash, so that reading how a job stands never reads them. They are stored in pieces before the job is
 * accepted, so that no command holds up Redis or the connection. Texts that no job accepts in time lapse.
 */
import { createHash } from 'node:crypto'
import { JobSpec, MusterError } from '@muster/contract'
import { z } from 'zod'
import { ask, type Ledger } from '../redis/open-ledger.ts'
import { runScript } from '../redis/scripts.ts'
import { orDamaged } from './stored-job.ts'

/** The fields of a job that may be large. */
const TEXT_NAMES = ['script', 'stdin'] as const
export type TextName = (typeof TEXT_NAMES)[number] | 'secrets'

const KeyHosts = z.array(z.string())

/** A shorter text stays with the rest of the job: another key would cost more than it saves. */
const LARGE_BYTES = 16 * 1024
/** Written or read with one command. */
const PIECE_BYTES = 1024 * 1024
/** How long the pieces of a job wait for it to be accepted. */
const KEPT_MS = 10 * 60_000

/** A text that is stored beside its job. */
export type JobText = { readonly name: TextName; readonly bytes: Buffer }
type LargeText = JobText & { readonly sha256: string }

/** The options of a job without its large texts, and those texts. */
export function splitTexts(spec: JobSpec): { spec: JobSpec; texts: LargeText[] } {
  const small = { ...spec }
  const texts: LargeText[] = []
  for (const name of TEXT_NAMES) {
    const bytes = Buffer.from(spec[name] ?? '')
    if (bytes.length <= LARGE_BYTES) continue
    delete small[name]
    texts.push({ name, bytes, sha256: createHash('sha256').update(bytes).digest('base64url') })
  }
  return { spec: small, texts }
}

/**
 * Stores the texts of a job that is about to be accepted. False when Redis has no room for all of them.
 * @throws {MusterError} ledger_unavailable; ledger_full
 */
export async function storeTexts(ledger: Ledger, jobId: string, texts: readonly JobText[]): Promise<boolean> {
  for (const { name, bytes } of texts) {
    for (let offset = 0; offset < bytes.length; offset += PIECE_BYTES) {
      const piece = bytes.subarray(offset, offset + PIECE_BYTES)
      const given = { text: ledger.keys.text(jobId, name), offset, bytes: piece, keptMs: KEPT_MS }
      const answer = await ask(ledger.redis, () => runScript(ledger, 'store-text', given), jobId)
      if (answer === 'full') return false
    }
  }
  return true
}

/** Deletes the texts of a job that was not accepted. When Redis does not answer, they lapse. */
export async function dropTexts({ redis, keys }: Ledger, jobId: string, texts: readonly JobText[]): Promise<void> {
  if (texts.length === 0) return
  await redis.unlink(texts.map(({ name }) => keys.text(jobId, name))).catch(() => undefined)
}

/**
 * The command and the options of a job, as they were submitted, and the target expressions that must all select a host
 * for its API key to touch it. `texts` are all texts of it as they are stored, but for its sealed secrets. Undefined
 * when there is no such job.
 * @throws {MusterError} job_damaged, also when a text has lost some of its bytes; ledger_unavailable
 */
export async function readSpec(
  ledger: Ledger,
  jobId: string,
): Promise<{ spec: JobSpec; keyHosts: readonly string[]; texts: Record<string, string> } | undefined> {
  const { redis, keys } = ledger
  const [specText, keyHostsText, ...lengths] = await ask(
    redis,
    () => redis.hmget(keys.job(jobId), 'spec', 'key_hosts', ...TEXT_NAMES.map((name) => `${name}_bytes`)),
    jobId,
  )
  if (specText === undefined || specText === null) return undefined
  const spec = await orDamaged(jobId, () => JobSpec.parse(JSON.parse(specText)))
  const keyHosts = await orDamaged(jobId, () => KeyHosts.parse(JSON.parse(keyHostsText ?? '[]')))
  const texts: Record<string, string> = { spec: specText }
  if (keyHostsText !== undefined && keyHostsText !== null) texts.key_hosts = keyHostsText
  for (const [i, name] of TEXT_NAMES.entries()) {
    const length = Number(lengths[i] ?? 0)
    if (length === 0) continue
    const text = await readText(ledger, jobId, { name, length })
    texts[name] = text
    spec[name] = text
  }
  return { spec, keyHosts, texts }
}

/**
 * A text of a job, of which Redis should have this many bytes.
 * @throws {MusterError} job_damaged when it has not; ledger_unavailable
 */
export async function readText(
  { redis, keys }: Ledger,
  jobId: string,
  { name, length }: { name: TextName; length: number },
): Promise<string> {
  const pieces: Buffer[] = []
  for (let offset = 0; offset < length; offset += PIECE_BYTES) {
    const last = Math.min(length, offset + PIECE_BYTES) - 1
    const piece = await ask(redis, () => redis.getrangeBuffer(keys.text(jobId, name), offset, last), jobId)
    if (piece.length === 0) break
    pieces.push(piece)
  }
  const bytes = Buffer.concat(pieces)
  if (bytes.length === length) return bytes.toString()
  const message = `Redis has ${bytes.length} of ${length} bytes of the ${name} of job ${jobId}: submit the job again`
  throw new MusterError('job_damaged', message, { details: { job_id: jobId } })
}
