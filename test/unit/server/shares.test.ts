/** Sharing out what a server can do only so often: how much one key and one owner get, and what is left for others. */
import { MusterError } from '@muster/contract'
import { describe, expect, test } from 'vitest'
import { createShares } from '../../../apps/server/src/operations/call/shares.ts'

const makeShares = () => createShares({ what: 'waits', total: 200, least: 4 })
const by = (keyId: string, owner = keyId) => ({ keyId, owner })

/** Takes as much as there is for a holder, and returns how much that was and why there is no more. */
function takeAll(shares: ReturnType<typeof makeShares>, holder: { keyId: string; owner: string }) {
  const given: (() => void)[] = []
  for (;;) {
    try {
      given.push(shares.take(holder))
    } catch (error) {
      if (!(error instanceof MusterError)) throw error
      return { count: given.length, given, code: error.code, text: error.message, details: error.details }
    }
  }
}

describe('of what a server can do at once', () => {
  test('one key gets a quarter, and is told of its limit and when to try again', () => {
    const { count, code, text, details } = takeAll(makeShares(), by('k1'))
    expect([count, code, details]).toEqual([50, 'share_taken', { retry_after_s: 5 }])
    expect(text).toBe(
      'the API key k1 has 50 waits on this server: its share is 50 of 200, as others need the rest; try again in 5 s',
    )
  })

  test('one owner gets half, with however many keys', () => {
    const shares = makeShares()
    const taken = Array.from({ length: 30 }, (_, i) => takeAll(shares, by(`k${i}`, 'ci')))
    expect(taken.reduce((sum, { count }) => sum + count, 0)).toBe(100)
    expect(taken.at(-1)?.text).toContain('the owner ci, over all keys, has 100 waits')
    expect(takeAll(shares, by('other')).count).toBeGreaterThanOrEqual(25)
  })

  test('the next owner always gets some, until many take all they can', () => {
    const shares = makeShares()
    const counts = Array.from({ length: 12 }, (_, i) => takeAll(shares, by(`k${i}`)).count)
    expect(counts.slice(0, 3)).toEqual([50, 37, 28])
    expect(Math.min(...counts)).toBeGreaterThanOrEqual(4)
  })

  test('all can be taken, and then the server is busy, for those without any too', () => {
    const shares = makeShares()
    for (let i = 0; i < 100; i += 1) takeAll(shares, by(`k${i}`))
    expect(takeAll(shares, by('late'))).toMatchObject({ count: 0, code: 'busy', details: { retry_after_s: 2 } })
  })

  test('what is given back is free again, once', () => {
    const shares = makeShares()
    const { given } = takeAll(shares, by('k1'))
    given[0]?.()
    given[0]?.()
    expect(takeAll(shares, by('k1')).count).toBe(1)
    for (const giveBack of given) giveBack()
    expect(takeAll(shares, by('k2')).count).toBe(Math.floor((200 - 1) / 4))
  })

  test('whoever has nothing gets one of any size, if there is room for it', () => {
    const shares = createShares({ what: 'bytes', total: 100, least: 0 })
    const giveBack = shares.take(by('k1'), 300)
    expect(() => shares.take(by('k2'), 1)).toThrow(/has 300 of 100 bytes, and no room for 1 more/)
    giveBack()
    shares.take(by('k1'), 60)
    expect(() => shares.take(by('k1'), 10)).toThrow(
      /has 60 bytes on this server, and asks for 10 more: its share is 25/,
    )
    shares.take(by('k2'), 40)
  })
})
