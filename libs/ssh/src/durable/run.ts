/**
 * What this side knows of one durable run, kept over all its connections: how much of its output was taken, whether
 * anything of its command was ever sent, and whether it is known to have started. Does not talk to hosts
 * (follow.ts).
 */
import { createHmac } from 'node:crypto'
import { MusterError } from '@muster/contract'
import type { OutputReceiver } from '../output/drain.ts'
import { OutputCap } from '../output/output-cap.ts'
import type { Sudo } from '../shell/sudo.ts'

/** Where a host keeps a run: below the home directory, or below /var/tmp. */
export type DurablePlace = 'home' | 'tmp'

/** What a durable run is made of. */
export type DurableRunOptions = {
  /** Names the directory on the host; another one for every attempt, as a host starts each only once. */
  readonly runId: string
  /** The same for everybody who follows the run, and unknown to its host: its seals are made of it. */
  readonly secret: string
  /** Kept of each stream, as in `ExecOptions`. */
  readonly outputLimitBytes: number
  /** Takes the head of each stream as it comes, each byte once, over all connections. */
  readonly onOutput: OutputReceiver
  /** Whom the command runs as; absent: the account. */
  readonly sudo?: Sudo | undefined
}

/** One durable run, for `followDurable` as often as it takes and `removeDurable` at the end. */
export class DurableRun {
  readonly runId: string
  /** Both streams, as far as they were taken. */
  readonly caps: { readonly stdout: OutputCap; readonly stderr: OutputCap }
  readonly onOutput: OutputReceiver
  readonly sudo: Sudo | undefined
  /** What the supervisor puts before its result, so that it is not taken for one that anybody else wrote. */
  readonly seal: string
  /** The same for an order to stop, which is a file while the command may still read it. */
  readonly stopSeal: string
  #place: DurablePlace | undefined
  #isSent = false
  #hasStarted = false

  /** @throws {MusterError} invalid_request: the ID has other characters than a-z, 0-9, "_" and "-", or is too long */
  constructor({ runId, secret, outputLimitBytes, onOutput, sudo }: DurableRunOptions) {
    if (!/^[a-z0-9][a-z0-9_-]{0,99}$/.test(runId)) {
      throw new MusterError('invalid_request', `${JSON.stringify(runId)} cannot name a run: use a-z, 0-9, "_" and "-"`)
    }
    this.runId = runId
    this.sudo = sudo
    this.caps = { stdout: new OutputCap(outputLimitBytes), stderr: new OutputCap(outputLimitBytes) }
    this.onOutput = onOutput
    const sealOf = (what: string) => createHmac('sha256', secret).update(`${what} ${runId}`).digest('hex').slice(0, 32)
    this.seal = sealOf('result')
    this.stopSeal = sealOf('stop')
  }

  /** The command is about to be sent, and the host keeps it there. */
  noteSent(place: DurablePlace): void {
    this.#isSent = true
    this.#place ??= place
  }

  /** The host has said that the command has started. */
  noteStarted(): void {
    this.#hasStarted = true
  }

  /** Whether anything of the command was ever sent from here. */
  get wasSent(): boolean {
    return this.#isSent
  }

  /** Whether the command is known to have started: a host that finds nothing of it any more has lost it. */
  get hasStarted(): boolean {
    return this.#hasStarted
  }

  /** Where its host keeps it; undefined while that is not known here. */
  get place(): DurablePlace | undefined {
    return this.#place
  }
}
