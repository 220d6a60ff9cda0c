/**
 * What this side knows about one durable run over all its connections: how much of its output was taken, whether
 * anything of its command was ever sent, and whether it is known to have started. Does not talk to hosts (follow.ts).
 */
import { createHmac } from 'node:crypto'
import { MusterError } from '@muster/contract'
import type { OutputReceiver } from '../output/drain.ts'
import { OutputCap, type StreamMask } from '../output/output-cap.ts'
import type { Sudo } from '../shell/sudo.ts'

/** Where a host keeps a run: below the home directory, or below /var/tmp. */
export type DurableParent = 'home' | 'tmp'

/** What defines a durable run. */
export type DurableRunOptions = {
  /** Names the directory on the host. Each attempt needs another one, as a host starts each ID only once. */
  readonly runId: string
  /** The same for everybody who follows the run, and unknown to its host: the seals are made from it. */
  readonly secret: string
  /** Kept of each stream, as in `ExecOptions`. */
  readonly outputLimitBytes: number
  /** As in `ExecOptions`. */
  readonly mask?: () => StreamMask
  /** Takes the head of each stream as it comes; each byte once, over all connections. */
  readonly onOutput: OutputReceiver
  /** Whom the command runs as; absent: the account. */
  readonly sudo?: Sudo | undefined
}

/** One durable run: for `followDurable`, as often as it takes, and `removeDurable` at the end. */
export class DurableRun {
  readonly runId: string
  /** What was taken of both streams. */
  readonly caps: { readonly stdout: OutputCap; readonly stderr: OutputCap }
  readonly onOutput: OutputReceiver
  readonly sudo: Sudo | undefined
  /** The supervisor puts it before its result, to tell it from a result that somebody else wrote. */
  readonly seal: string
  /** The same for an order to stop. It is in a file that the command can read, so it is another seal. */
  readonly stopSeal: string
  #parent: DurableParent | undefined
  #isSent = false
  #hasStarted = false

  /** @throws {MusterError} invalid_request: the ID has other characters than a-z, 0-9, "_" and "-", or is too long */
  constructor({ runId, secret, outputLimitBytes, mask, onOutput, sudo }: DurableRunOptions) {
    if (!/^[a-z0-9][a-z0-9_-]{0,99}$/.test(runId)) {
      throw new MusterError('invalid_request', `${JSON.stringify(runId)} cannot name a run: use a-z, 0-9, "_" and "-"`)
    }
    this.runId = runId
    this.sudo = sudo
    const cap = () => new OutputCap(outputLimitBytes, mask?.())
    this.caps = { stdout: cap(), stderr: cap() }
    this.onOutput = onOutput
    const sealOf = (what: string) => createHmac('sha256', secret).update(`${what} ${runId}`).digest('hex').slice(0, 32)
    this.seal = sealOf('result')
    this.stopSeal = sealOf('stop')
  }

  /** Records that the command is about to be sent, and where the host keeps it. */
  noteSent(parent: DurableParent): void {
    this.#isSent = true
    this.#parent ??= parent
  }

  /** Records that the host said the command has started. */
  noteStarted(): void {
    this.#hasStarted = true
  }

  /** Whether anything of the command was ever sent from here. */
  get wasSent(): boolean {
    return this.#isSent
  }

  /** Whether the command is known to have started: if the host finds nothing of it, the run is lost. */
  get hasStarted(): boolean {
    return this.#hasStarted
  }

  /** Where its host keeps it; undefined while unknown. */
  get parent(): DurableParent | undefined {
    return this.#parent
  }
}
