/** What every operation is given and what it answers with. Stands below the operations, so that each can name it. */
import type { Principal } from '@muster/access'
import type { OPERATIONS, OperationName, Output } from '@muster/contract'
import type { Inventory } from '@muster/inventory'
import type { Ledger } from '@muster/ledger'
import type { Logger } from '@muster/runtime'

/** What the operations need. */
export type OperationDeps = {
  readonly ledger: Ledger
  readonly inventory: { current(): Inventory }
  readonly logger: Logger
  /** How often a key may call. Absent: as often as it likes. */
  readonly limits?: RateLimits
}

/** Most calls of one key in a minute, on this server; 0 is no limit. */
export type RateLimits = {
  readonly callsPerMin: number
  /** Of those calls, most that make jobs or change how one runs. */
  readonly jobsPerMin: number
}

/** Who calls. */
export type Caller = Principal & {
  /** W3C trace context of the call. Absent when none came, or one that is not valid. */
  readonly traceparent?: string
  /** Aborts when the caller is gone or the server ends: waits end then. The job goes on. */
  readonly signal: AbortSignal
  /** Hears of it when an operation begins to wait for a job, so that the caller can be told how it goes on. */
  readonly onWait?: (jobId: string, waitMs: number) => void
}

/** What carrying out an operation gives: its output, or one after the other where the table says `events`. */
export type Answer<N extends OperationName> = (typeof OPERATIONS)[N] extends { rest: { answers: 'events' } }
  ? AsyncIterable<Output<N>>
  : Output<N>
