/** The types that all operations share: their dependencies, their caller and their answers. */
import type { KeyLedger, Principal } from '@muster/access'
import type { OPERATIONS, OperationName, Output } from '@muster/contract'
import type { AdhocPolicy, Inventory } from '@muster/inventory'
import type { CheckWork, Ledger, SignWork } from '@muster/ledger'
import type { Logger } from '@muster/runtime'
import type { Sealer } from '@muster/trust'

/** What the operations need. */
export type OperationDeps = {
  readonly ledger: Ledger
  readonly inventory: { current(): Inventory }
  readonly logger: Logger
  /** Which hosts requests may name that the inventory does not have. */
  readonly policy: AdhocPolicy
  /** How often a key may call. */
  readonly limits: RateLimits
  /** Seals secrets for the workers. Undefined: this server takes none. */
  readonly sealer: Sealer | undefined
  /** The records of API keys. */
  readonly keyLedger: KeyLedger
  /** Signs jobs, and orders that widen them. Undefined: workers that check signatures run nothing of this server. */
  readonly signWork: SignWork | undefined
  /** Checks what servers have signed. Undefined: this server believes what Redis says of a job. */
  readonly checkWork: CheckWork | undefined
}

/** Most calls of one key per minute on this server; 0 is no limit. */
export type RateLimits = {
  readonly callsPerMin: number
  /** How many of those may make jobs or change how one runs. */
  readonly jobsPerMin: number
}

/** Who calls. */
export type Caller = Principal & {
  /** A digest that nobody can compute who does not know the text of the API key, which is not in Redis. */
  readonly mac: (text: string) => string
  /** The W3C trace context of the call. Absent if the call came with none or an invalid one. */
  readonly traceparent?: string
  /** Aborts when the caller is gone or the server closes. Waits end then; the job goes on. */
  readonly signal: AbortSignal
  /** Set for a caller who may have to resume the job: its waits end at a pause. Absent: they go on through it. */
  readonly endsWaitAtPause?: boolean
  /** Called when an operation begins to wait for a job, so that progress can be reported. */
  readonly onWait?: (jobId: string, waitMs: number) => void
}

/** What an operation returns: its output, or a sequence of them if its row says `events`. */
export type Answer<N extends OperationName> = (typeof OPERATIONS)[N] extends { rest: { answers: 'events' } }
  ? AsyncIterable<Output<N>>
  : Output<N>
