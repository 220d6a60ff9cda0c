/**
 * What this side knows of one durable run, kept over all its connections: how much of its output was taken, and
 * whether a launcher is still under way that might start it. Does not talk to hosts (durable-follow.ts).
 */
import { MusterError } from '@muster/contract'
import type { OutputReceiver } from './drain.ts'
import { OutputCap } from './output-cap.ts'
import type { Sudo } from './sudo.ts'

/** One durable run, for `followDurable` as often as it takes and `removeDurable` at the end. */
export class DurableRun {
  readonly runId: string
  /** Both streams, as far as they were taken. */
  readonly caps: { readonly stdout: OutputCap; readonly stderr: OutputCap }
  readonly onOutput: OutputReceiver
  readonly sudo: Sudo | undefined
  #launches = 0
  #answers = 0

  /**
   * @param runId names the directory on the host; another one for every attempt, as a host starts each only once
   * @param outputLimitBytes kept of each stream, as in `ExecOptions`
   * @param onOutput takes the head of each stream as it comes, each byte once, over all connections
   * @param sudo whom the command runs as; absent: the account
   * @throws {MusterError} invalid_request: the ID has other characters than a-z, 0-9, "_" and "-", or is too long
   */
  constructor(runId: string, outputLimitBytes: number, onOutput: OutputReceiver, sudo?: Sudo) {
    if (!/^[a-z0-9][a-z0-9_-]{0,99}$/.test(runId)) {
      throw new MusterError('invalid_request', `${JSON.stringify(runId)} cannot name a run: use a-z, 0-9, "_" and "-"`)
    }
    this.runId = runId
    this.sudo = sudo
    this.caps = { stdout: new OutputCap(outputLimitBytes), stderr: new OutputCap(outputLimitBytes) }
    this.onOutput = onOutput
  }

  /** A launcher is about to be sent. */
  noteLaunch(): void {
    this.#launches += 1
  }

  /** The host has answered a launcher: it is past the point at which it could start the command. */
  noteAnswer(): void {
    this.#answers += 1
  }

  /** Whether the run was launched from here, and no launcher is left that might still arrive. */
  get isSettled(): boolean {
    return this.wasLaunched && this.#launches === this.#answers
  }

  /** Whether a launcher was ever sent from here. */
  get wasLaunched(): boolean {
    return this.#launches > 0
  }
}
