/**
 * Shares out what a server can do only so often at once, such as waits: one key gets a part, its owner a larger one,
 * and there is always something left for the next owner, however many the others have.
 *
 * It counts in the memory of one server, as what it shares out is of that server alone.
 */
import { MusterError } from '@muster/contract'

/** One key may have a quarter of what other keys leave, the keys of one owner half of what other owners leave. */
const SHARE = { key: 1 / 4, owner: 1 / 2 }
/** When somebody who was refused may try again. */
const TRY_AGAIN_S = { ofShare: 5, ofAll: 2 }

/** Whose share it is. */
type Holder = { readonly keyId: string; readonly owner: string }

/** What a server shares out. */
export type Shares = {
  /**
   * Takes one, or `amount`, for a holder. Whoever has nothing gets it if there is any left. Returns what gives it back,
   * once.
   * @throws {MusterError} busy when the server has no more; share_taken when the key or its owner has its share
   */
  take(holder: Holder, amount?: number): () => void
}

/**
 * Makes shares of `total`. Nobody's share is smaller than `least`. `what` names what they are of, such as "waits".
 */
export function createShares({ what, total, least }: { what: string; total: number; least: number }): Shares {
  const ofKeys = new Map<string, number>()
  const ofOwners = new Map<string, number>()
  let taken = 0

  const refuseBeyond = (mine: number, amount: number, part: number, who: string) => {
    const share = Math.max(least, Math.floor((total - (taken - mine)) * part))
    if (mine === 0 || mine + amount <= share) return
    const asked = amount === 1 ? '' : `, and asks for ${amount} more`
    const left = `its share is ${share} of ${total}, as others need the rest; try again in ${TRY_AGAIN_S.ofShare} s`
    throw new MusterError('share_taken', `${who} has ${mine} ${what} on this server${asked}: ${left}`, {
      details: { retry_after_s: TRY_AGAIN_S.ofShare },
    })
  }

  return {
    take: ({ keyId, owner }, amount = 1) => {
      if (taken > 0 && taken + amount > total) {
        const message = `this server has ${taken} of ${total} ${what}, and no room for ${amount} more`
        throw new MusterError('busy', `${message}; try again in ${TRY_AGAIN_S.ofAll} s`, {
          details: { retry_after_s: TRY_AGAIN_S.ofAll },
        })
      }
      refuseBeyond(ofKeys.get(keyId) ?? 0, amount, SHARE.key, `the API key ${keyId}`)
      refuseBeyond(ofOwners.get(owner) ?? 0, amount, SHARE.owner, `the owner ${owner}, over all keys,`)
      const count = (change: number) => {
        taken += change
        add(ofKeys, keyId, change)
        add(ofOwners, owner, change)
      }
      count(amount)
      let isTaken = true
      return () => {
        if (isTaken) count(-amount)
        isTaken = false
      }
    },
  }
}

/** Whoever has nothing is forgotten, so that keys that are used once leave nothing behind. */
function add(counts: Map<string, number>, name: string, change: number): void {
  const count = (counts.get(name) ?? 0) + change
  if (count === 0) counts.delete(name)
  else counts.set(name, count)
}
