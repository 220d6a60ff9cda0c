/**
 * The algorithms that a host is offered, the additional ones for hosts that the inventory calls old, and, where nothing
 * is in common, what each side offered. Of a host's offer only valid names are shown.
 */
import { KEY_EXCHANGES } from '@muster/contract'
import type { Algorithms, CipherAlgorithm, KexAlgorithm, ServerHostKeyAlgorithm } from 'ssh2'
import type { SshHost } from './connection.ts'

/** For hosts from before 2016 or so: SHA-1 and CBC, which can be attacked. Group 1 can be broken, and is left out. */
const LEGACY = {
  kex: ['diffie-hellman-group14-sha1', 'diffie-hellman-group-exchange-sha1'] satisfies KexAlgorithm[],
  hostKey: ['ssh-rsa'] satisfies ServerHostKeyAlgorithm[],
  cipher: ['aes256-cbc', 'aes192-cbc', 'aes128-cbc'] satisfies CipherAlgorithm[],
}

/** What a host can be offered by a list of its own. */
const NAMED_KEX: readonly KexAlgorithm[] = [...KEY_EXCHANGES.usual, ...KEY_EXCHANGES.besides]

/** The parts of an offer that may have nothing in common, by their index in it. @see RFC 4253, section 7.1 */
const PARTS: readonly { name: string; index: number; legacy: readonly string[] }[] = [
  { name: 'key exchange', index: 0, legacy: LEGACY.kex },
  { name: 'host key', index: 1, legacy: LEGACY.hostKey },
  { name: 'cipher', index: 2, legacy: LEGACY.cipher },
  { name: 'cipher to us', index: 3, legacy: LEGACY.cipher },
  { name: 'checksum', index: 4, legacy: [] },
  { name: 'checksum to us', index: 5, legacy: [] },
  { name: 'compression', index: 6, legacy: [] },
  { name: 'compression to us', index: 7, legacy: [] },
]
const LISTS = PARTS.length
const CIPHER_OF_CHECKSUM: Readonly<Record<number, number>> = { 4: 2, 5: 3 }
const HAS_CHECKSUM = /gcm|poly1305/
/** Where the lists begin: behind the message number and a random cookie. */
const LISTS_START = 17

const NAME = /^[A-Za-z0-9@.+_-]{1,64}$/
/** Not algorithms, but extensions that a side supports. */
const SIGNS = /^(ext-info-|kex-strict-)/
const NAMES_SHOWN = 12

/**
 * What ssh2 offers, these host keys first. Compression is not offered: it costs time, and would unpack what may come
 * from a stranger.
 */
export function algorithmsFor(
  hostKeys: readonly ServerHostKeyAlgorithm[],
  { algorithms, keyExchanges }: Pick<SshHost, 'algorithms' | 'keyExchanges'>,
): Algorithms {
  if (keyExchanges !== undefined) {
    const named = keyExchanges.flatMap((name) => NAMED_KEX.filter((known) => known === name))
    return { compress: ['none'], serverHostKey: [...hostKeys], kex: named }
  }
  if (algorithms === undefined) return { compress: ['none'], serverHostKey: [...hostKeys] }
  // Next to the other two of an RSA key: a host shows its first key in this order, which must be of the listed type.
  const serverHostKey = hostKeys.flatMap((name) => (name === 'rsa-sha2-256' ? [name, ...LEGACY.hostKey] : [name]))
  const besides = { prepend: [], remove: [] }
  const kex = { append: LEGACY.kex, ...besides }
  return { compress: ['none'], serverHostKey, kex, cipher: { append: LEGACY.cipher, ...besides } }
}

/** The negotiated algorithms that are offered only with `algorithms: legacy`. */
export function legacyAmong(negotiated: readonly string[]): string[] {
  const legacy = new Set<string>([...LEGACY.kex, ...LEGACY.hostKey, ...LEGACY.cipher])
  return [...new Set(negotiated)].filter((name) => legacy.has(name))
}

/**
 * The parts in which the two offers have nothing in common, what each side offers there, and whether `algorithms:
 * legacy` would help. Both are messages as sent. Undefined if every part has something in common, or one is not an
 * offer.
 */
export function explainMismatch(ours: Buffer, theirs: Buffer, isLegacy: boolean): string | undefined {
  const [own = [], other = []] = [readLists(ours), readLists(theirs)]
  const firstCommon = (index: number) => own[index]?.find((name) => other[index]?.includes(name))
  const apart = PARTS.filter(({ index }) => {
    if (own.length < LISTS || other.length < LISTS) return false
    // A cipher with its own checksum needs no other.
    const isNeedless =
      index in CIPHER_OF_CHECKSUM && HAS_CHECKSUM.test(firstCommon(CIPHER_OF_CHECKSUM[index] ?? 0) ?? '')
    return firstCommon(index) === undefined && !isNeedless
  })
  if (apart.length === 0) return undefined
  const offers = apart.map(({ name, index }) => {
    return `${name}: we offer ${shown(own[index])}, the host ${shown(other[index])}`
  })
  const wouldHelp = apart.every(({ index, legacy }) => legacy.some((name) => other[index]?.includes(name)))
  const advice = wouldHelp
    ? 'for a host this old, set "algorithms: legacy" in its entry of the inventory'
    : '"algorithms: legacy" would not help'
  return [...offers, ...(isLegacy ? [] : [advice])].join('; ')
}

/** The algorithms of host keys in an offer, as sent. */
export function hostKeysIn(offer: Buffer): readonly string[] {
  return readLists(offer)[1] ?? []
}

/** The lists of names in an offer; fewer if it is cut off. */
function readLists(offer: Buffer): string[][] {
  const lists: string[][] = []
  for (let at = LISTS_START; lists.length < LISTS && at + 4 <= offer.length; ) {
    const end = at + 4 + offer.readUInt32BE(at)
    if (end > offer.length) break
    lists.push(offer.toString('latin1', at + 4, end).split(','))
    at = end
  }
  return lists
}

function shown(names: readonly string[] = []): string {
  const good = names.filter((name) => NAME.test(name) && !SIGNS.test(name))
  const more = good.length - NAMES_SHOWN
  const list = good.slice(0, NAMES_SHOWN).join(', ') || 'nothing'
  return more > 0 ? `${list} and ${more} more` : list
}
