/**
 * The turns to shake hands and log in: a limited number at once in this process, and with or through each jump host
 * over all processes. A turn covers the expensive part, and ends after a while, so a silent host does not hold it for
 * long.
 *
 * Does not dial. A caller that gets no turn in time learns so, and that the host is not to blame.
 */
import type { EndTurn } from '../connect/log-in.ts'
import { type Failure, failure } from '../verdict/failure.ts'
import { DialQueue } from './dial-queue.ts'

/** How many turns there are. */
export type TurnOptions = {
  /** Handshakes at once; 50 by default. */
  readonly maxHandshakes?: number
  /**
   * Waits until a handshake with, or through, this jump host may begin, where other processes use it too. The function
   * it returns is called when the handshake is over.
   */
  readonly beforeDialThrough?: (jumpName: string, options: { readonly signal: AbortSignal }) => Promise<EndTurn>
}

/** Which job a turn is for, and when it is no longer wanted. */
type Wish = { readonly fairKey: string; readonly signal: AbortSignal }

const MAX_HANDSHAKES = 50
/** With or through one jump host: an sshd drops handshakes at random when ten are under way. */
const HANDSHAKES_THROUGH_JUMP = 8
/** Some ten times what a handshake takes where fifty are made at once. A slower one mostly waits, and costs nothing. */
const TURN_MS = 3_000

/** All turns of a process. */
export class Turns {
  readonly #queue: DialQueue
  readonly #throughJump = new Map<string, DialQueue>()
  readonly #before: TurnOptions['beforeDialThrough']

  constructor({ maxHandshakes = MAX_HANDSHAKES, beforeDialThrough }: TurnOptions) {
    this.#queue = new DialQueue(maxHandshakes)
    this.#before = beforeDialThrough
  }

  /** Waits for a turn with a host that has answered, through this jump host if there is one. */
  async enter(jumpName: string | undefined, wish: Wish): Promise<EndTurn | Failure> {
    const endThrough = jumpName === undefined ? () => {} : await this.withJump(jumpName, wish)
    if (typeof endThrough !== 'function') return endThrough
    const endHere = await this.#queue.enter(wish.fairKey, wish.signal)
    if (endHere === undefined) {
      endThrough()
      const detail = 'it answered, but this worker was busy with handshakes with other hosts all the time'
      return failure('conn_timeout', detail, { isHostsFault: false })
    }
    let isOver = false
    const end = () => {
      if (isOver) return
      isOver = true
      clearTimeout(timer)
      endHere()
      endThrough()
    }
    const timer = setTimeout(end, TURN_MS)
    timer.unref()
    return end
  }

  /** Waits for a turn with, or through, a jump host: among the jobs of this process, then among all processes. */
  async withJump(jumpName: string, { fairKey, signal }: Wish): Promise<EndTurn | Failure> {
    const queue = this.#throughJump.get(jumpName) ?? new DialQueue(HANDSHAKES_THROUGH_JUMP)
    this.#throughJump.set(jumpName, queue)
    const endHere = await queue.enter(fairKey, signal)
    if (endHere === undefined) return noTurnWith(jumpName)
    try {
      const endEverywhere = this.#before && (await unlessAborted(this.#before(jumpName, { signal }), signal))
      if (this.#before === undefined) return endHere
      if (endEverywhere === undefined) {
        endHere()
        return noTurnWith(jumpName)
      }
      return () => {
        endEverywhere()
        endHere()
      }
    } catch (error) {
      endHere()
      throw error
    }
  }
}

function noTurnWith(jumpName: string): Failure {
  return failure('jump_failed', `jump host ${jumpName}: the workers were busy with other handshakes there all the time`)
}

/** The turn, unless the signal aborts first: then a turn that still comes is given back at once. */
function unlessAborted(turn: Promise<EndTurn>, signal: AbortSignal): Promise<EndTurn | undefined> {
  return new Promise((resolve, reject) => {
    const onAbort = () => resolve(undefined)
    signal.addEventListener('abort', onAbort)
    if (signal.aborted) onAbort()
    turn
      .then(
        (end) => (signal.aborted ? end() : resolve(end)),
        (error: unknown) => reject(error),
      )
      .finally(() => signal.removeEventListener('abort', onAbort))
  })
}
