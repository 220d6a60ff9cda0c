/**
 * What the server has signed of one job, and whether a run fits it: asked before anything connects and before a
 * credential is read, because whoever can write to Redis can change what it says of a job.
 *
 * The signature is checked once for all runs of the job, and so is each digest of hosts. Time is this worker's own:
 * that of Redis is in the hands of whoever can write there.
 */
import type { JobSpec } from '@muster/contract'
import { lastStartMs } from '../job/last-start.ts'
import { batchOf, concurrencyOf, rolloutOf } from '../job/rollout.ts'
import type { SealedSecrets } from '../job/sealed-secrets.ts'
import { type NotAsSigned, readTerms } from '../job/signed-record.ts'
import {
  type CheckWork,
  digestOf,
  HOSTS_PER_DIGEST,
  type JobTerms,
  OrderTerms,
  orderNames,
  readHostsOfDigest,
  readSigned,
  readSignedFields,
  whatDiffers,
} from '../job/signed-work.ts'
import type { Ledger } from '../redis/open-ledger.ts'
import type { Claim } from './claim.ts'

/** How far the clocks of server and worker may be apart. */
const CLOCKS_APART_MS = 5 * 60_000
/** Digests of hosts that are kept of a job: its runs go through the frozen set in order. */
const KEPT_CHUNKS = 64
/** Gates whose orders are read at once. */
const GATES_AT_ONCE = 500
/** How many times a run may be queued again because its worker died before the command was sent (abandon.lua). */
const REQUEUES = 2

/** A job whose signature this worker has checked. */
export class SignedJob {
  readonly #ledger: Ledger
  readonly #check: CheckWork
  readonly #terms: JobTerms
  readonly #spec: JobSpec
  readonly #batches: readonly number[]
  readonly #orders = new Map<string, OrderTerms>()
  readonly #chunks = new Map<number, Promise<readonly string[] | undefined>>()
  /** So many gates were opened, from the first one on. */
  #opened = 0

  private constructor(ledger: Ledger, check: CheckWork, terms: JobTerms, spec: JobSpec) {
    this.#ledger = ledger
    this.#check = check
    this.#terms = terms
    this.#spec = spec
    this.#batches = rolloutOf(spec, terms.total).batches
  }

  /**
   * Checks the signature of a job, and its record against it.
   * @throws {MusterError} ledger_unavailable
   */
  static async open(
    ledger: Ledger,
    check: CheckWork,
    job: { readonly jobId: string; readonly spec: JobSpec; readonly texts: Readonly<Record<string, string>> },
  ): Promise<SignedJob | NotAsSigned> {
    const { jobId, spec, texts } = job
    const terms = await readTerms(ledger, check, jobId)
    if ('refused' in terms) return terms
    const fields = await readSignedFields(ledger, jobId, Object.keys(terms.fields))
    const changed = whatDiffers(terms, { texts, fields })
    if (changed !== undefined) return { refused: `the job is not as it was signed; changed in Redis: ${changed}` }
    return new SignedJob(ledger, check, terms, spec)
  }

  get total(): number {
    return this.#terms.total
  }

  /** How often the command may be sent to a host. */
  get sends(): number {
    return this.#spec.retry_on === undefined ? 1 : 1 + this.#spec.retries
  }

  /** Until when an attempt may start by the clock of this worker, as far as it has read the orders. */
  get startsUntilMs(): number {
    return this.#notAfterMs() + CLOCKS_APART_MS
  }

  /**
   * Why a run must not start, or not be followed, in words. Undefined: it is as it was signed.
   * @throws {MusterError} ledger_unavailable
   */
  async refusalOf(claim: Claim): Promise<string | undefined> {
    return (
      this.#refusedTotal(claim) ??
      this.#refusedAttempt(claim) ??
      (await this.#refusedHost(claim)) ??
      (await this.#refusedLimits(claim)) ??
      (await this.#refusedBatch(claim)) ??
      (await this.#refusedTime(claim))
    )
  }

  /**
   * Whether this is the host that was signed for the run.
   * @throws {MusterError} ledger_unavailable
   */
  async isHostOf(run: Pick<Claim, 'index' | 'host'>): Promise<boolean> {
    return (await this.#refusedHost(run)) === undefined
  }

  /**
   * Whether the server has signed that a command may take so long.
   * @throws {MusterError} ledger_unavailable
   */
  async mayTake(execTimeoutMs: number): Promise<boolean> {
    if (execTimeoutMs <= this.#execLimitMs()) return true
    await this.#readOrders([orderNames.execTimeout])
    return execTimeoutMs <= this.#execLimitMs()
  }

  /**
   * Why sealed secrets are not those that came with the job, or with the one that keeps them for it.
   * @throws {MusterError} ledger_unavailable
   */
  async refusalOfSealed({ jobId, text }: SealedSecrets): Promise<string | undefined> {
    const { job, fields } = this.#terms
    if (jobId !== (fields.secrets_of ?? job)) return `the sealed secrets are those of job ${jobId}`
    const terms = jobId === job ? this.#terms : await readTerms(this.#ledger, this.#check, jobId)
    if ('refused' in terms) return `of the job that keeps its secrets: ${terms.refused}`
    return terms.texts.secrets === digestOf(text) ? undefined : 'the sealed secrets are not those that were signed'
  }

  /** The worker signs for the end of a run of so many. */
  #refusedTotal({ total }: Claim): string | undefined {
    return total === this.total ? undefined : `the job is said to have ${total} hosts, and was signed for ${this.total}`
  }

  #refusedAttempt({ attempt }: Claim): string | undefined {
    const most = 1 + this.#spec.retries + REQUEUES
    return attempt <= most ? undefined : `it is attempt ${attempt}, and at most ${most} were signed`
  }

  async #refusedHost({ index, host }: Pick<Claim, 'index' | 'host'>): Promise<string | undefined> {
    const hosts = await this.#hostsOf(Math.floor(index / HOSTS_PER_DIGEST))
    if (hosts === undefined) return 'the hosts of the job were changed in Redis since they were signed'
    const signed = hosts[index % HOSTS_PER_DIGEST]
    if (signed === host) return undefined
    const told = JSON.stringify(host.slice(0, 100))
    return `the record puts the run on ${told}, but it was signed for ${signed ?? 'no host'}`
  }

  /** Hosts that share a digest. Undefined: it is not that digest. */
  #hostsOf(chunk: number): Promise<readonly string[] | undefined> {
    const kept = this.#chunks.get(chunk)
    if (kept !== undefined) return kept
    const reading = readHostsOfDigest(this.#ledger, this.#terms.job, chunk).then((hosts) => {
      const isSigned = this.#terms.hosts[chunk] === digestOf(JSON.stringify(hosts))
      // The next run looks again.
      if (!isSigned) this.#chunks.delete(chunk)
      return isSigned ? hosts : undefined
    })
    reading.catch(() => this.#chunks.delete(chunk))
    this.#chunks.set(chunk, reading)
    const [oldest] = this.#chunks.keys()
    if (this.#chunks.size > KEPT_CHUNKS && oldest !== undefined) this.#chunks.delete(oldest)
    return reading
  }

  async #refusedLimits({ execTimeoutMs, concurrency }: Claim): Promise<string | undefined> {
    if (!(await this.mayTake(execTimeoutMs))) {
      return `its exec timeout is ${execTimeoutMs} ms, and ${this.#execLimitMs()} ms were signed`
    }
    if (concurrency <= this.#concurrencyLimit()) return undefined
    await this.#readOrders([orderNames.concurrency])
    const most = this.#concurrencyLimit()
    return concurrency <= most ? undefined : `its concurrency is ${concurrency}, and ${most} was signed`
  }

  /** A batch behind manual gates needs a signed order for each of them. */
  async #refusedBatch({ index }: Claim): Promise<string | undefined> {
    if (this.#spec.gate !== 'manual' || this.#batches.length === 0) return undefined
    const batch = batchOf(index, this.#batches)
    while (this.#opened < batch) {
      const count = Math.min(GATES_AT_ONCE, batch - this.#opened)
      const gates = Array.from({ length: count }, (_, i) => this.#opened + i)
      await this.#readOrders(gates.map(orderNames.gate))
      const shut = gates.find((gate) => this.#orders.get(orderNames.gate(gate))?.after_batch !== gate)
      if (shut !== undefined) return `it is of batch ${batch + 1}, and no signed order opens the gate after ${shut + 1}`
      this.#opened += count
    }
    return undefined
  }

  async #refusedTime({ index, startedAgoMs }: Claim): Promise<string | undefined> {
    const nowMs = Date.now()
    const { signed_at: signedMs } = this.#terms
    if (signedMs > nowMs + CLOCKS_APART_MS) {
      const apart = `${Math.round((signedMs - nowMs) / 1_000)} s ahead of the clock of this worker`
      return `the job was signed ${apart}: the clocks of server and worker differ, so set them right`
    }
    // A command that goes on at its host has started in time.
    if (startedAgoMs !== undefined || nowMs <= this.startsUntilMs) return undefined
    const gate = batchOf(index, this.#batches) - 1
    await this.#readOrders([orderNames.execTimeout, orderNames.gate(gate)])
    if (nowMs <= this.startsUntilMs) return undefined
    const over = `it was signed for starts until ${new Date(this.#notAfterMs()).toISOString()}`
    const here = `the clock of this worker says ${new Date(nowMs).toISOString()}`
    return `${over}, and ${here}: submit it again, or set the clock`
  }

  /** As it was signed with the job; each order to widen the job counts anew. */
  #notAfterMs(): number {
    const orders = [...this.#orders.values()].map(({ signed_at }) => signed_at)
    if (orders.length === 0) return this.#terms.not_after
    const moreMs = lastStartMs(this.#spec, this.total, this.#execLimitMs() / 1_000)
    return Math.max(this.#terms.not_after, Math.max(...orders) + moreMs)
  }

  #execLimitMs(): number {
    const raised = this.#orders.get(orderNames.execTimeout)?.exec_timeout_ms ?? 0
    return Math.max(Math.round(this.#spec.exec_timeout_s * 1_000), raised)
  }

  #concurrencyLimit(): number {
    const ordered = this.#orders.get(orderNames.concurrency)?.concurrency
    const { concurrency } = this.#spec
    return Math.max(...[concurrency, ordered ?? concurrency].map((each) => concurrencyOf(each, this.total)))
  }

  /** Reads orders. One that does not check, or is for another job, counts as none. */
  async #readOrders(names: readonly string[]): Promise<void> {
    const texts = await readSigned(this.#ledger, this.#terms.job, names)
    for (const [i, name] of names.entries()) {
      const text = texts[i]
      if (text === undefined) continue
      const checked = await this.#check('order', text)
      const order = 'terms' in checked ? OrderTerms.safeParse(checked.terms).data : undefined
      const isOurs = order !== undefined && order.job === this.#terms.job
      if (isOurs && order.signed_at <= Date.now() + CLOCKS_APART_MS) this.#orders.set(name, order)
    }
  }
}
