/**
 * Masks make equal what differs from host to host without meaning anything: each replaces every name, address, time or
 * number that it knows with one mark.
 *
 * A mask knows common forms and guesses no others. The text between marks never changes.
 */
import { isIP, isIPv6 } from 'node:net'
import { type OutputMask, parseRequestHost } from '@muster/contract'

const MONTH = `(?:${[
  'Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?',
  'Sep(?:t(?:ember)?)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?',
].join('|')})`
const DAY = '(?:(?:Mon|Tue(?:s)?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?,? {1,2})?'
/** Common zones only, because any short word may follow a time. */
const ZONE = '(?: ?(?:Z|UTC|GMT|BST|MSK|IST|JST|[CEW]ES?T|[ECMP][SD]T|[+-]\\d\\d:?\\d\\d)\\b)?'
const CLOCK = `\\d{1,2}:[0-5]\\d(?::[0-6]\\d(?:[.,]\\d{1,9})?)?(?: ?[AP]M\\b)?${ZONE}`
const YEAR = '(?:19|20)\\d\\d'

/** Dates with or without a time: ISO 8601, `date`, `ls -l`, web servers, mail. */
const DATE = new RegExp(
  [
    `(?<!\\d)${YEAR}[-/]\\d\\d[-/]\\d\\d(?:[T ]${CLOCK})?(?!\\d)`,
    `\\b${DAY}${MONTH} {1,2}\\d{1,2}(?:,? {1,2}${CLOCK})?(?:,? {1,2}${YEAR})?(?![\\w:])`,
    // In "5 Nov 25 01:33" from `ls -l` the 5 is a size.
    `\\b${DAY}\\d{1,2}[ /-]${MONTH}(?! {1,2}\\d{1,2}(?![\\d:]))(?:[ /-]${YEAR})?(?:[: ]${CLOCK})?(?![\\w:])`,
    `(?<![\\d/])\\d{1,2}/\\d{1,2}/\\d{2,4}(?:,? ${CLOCK})?(?![\\d/])`,
  ].join('|'),
  'g',
)
const TIME_OF_DAY = new RegExp(`(?<![\\w:.])${CLOCK}(?![\\w:])`, 'g')
/** Seconds or milliseconds since 1970, from 2017 to 2033. */
const SINCE_1970 = /(?<![\w.])1[5-9]\d{8}(?:\d{3}|\.\d{1,9})?(?![\w.])/g

const OCTET = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)'
const IPV4 = new RegExp(`(?<![\\w.])${OCTET}(?:\\.${OCTET}){3}(?!\\w|\\.\\d)`, 'g')
/** Text that may be an IPv6 address; Node decides whether it is one. */
const MAYBE_IPV6 = /(?<![\w.])[\dA-Fa-f]{0,4}:[\dA-Fa-f:.]{1,45}/g
const MAC = /(?<![\w:-])[\dA-Fa-f]{2}([:-])(?:[\dA-Fa-f]{2}\1){4}[\dA-Fa-f]{2}(?![:-]?\w)/g

const PID_IN_BRACKETS = /(?<=\[)\d{1,10}(?=\])/g
const NAMED_PID = /\b((?:p?p|t|pg)id|process(?: id)?)([ =:#]{1,3})\d{1,10}\b/gi

const NUMBER = /0x[\dA-Fa-f]+|\d+(?:[.,]\d+)*/g

/** The order in which masks are applied. What one mask has replaced, the next ones do not see. */
const ORDER: readonly OutputMask[] = ['host', 'time', 'address', 'pid', 'number']

/** Replaces what the masks know with marks such as `‹time›`. `host` is the host that printed the text. */
export function maskText(text: string, masks: ReadonlySet<OutputMask>, host: string): string {
  return ORDER.filter((mask) => masks.has(mask)).reduce((masked, mask) => maskOne(masked, mask, host), text)
}

function maskOne(text: string, mask: OutputMask, host: string): string {
  switch (mask) {
    case 'host':
      return text.replace(hostPattern(host), '‹host›')
    case 'time':
      return text.replace(DATE, '‹time›').replace(TIME_OF_DAY, '‹time›').replace(SINCE_1970, '‹time›')
    case 'address':
      return text.replace(MAC, '‹address›').replace(MAYBE_IPV6, maskIpv6).replace(IPV4, '‹address›')
    case 'pid':
      return text.replace(PID_IN_BRACKETS, '‹pid›').replace(NAMED_PID, '$1$2‹pid›')
    case 'number':
      return text.replace(NUMBER, '‹number›')
    default:
      return mask satisfies never
  }
}

/** A colon or dot after an address belongs to the sentence. */
function maskIpv6(found: string): string {
  for (const end of [found.length, found.length - 1]) {
    const address = found.slice(0, end)
    if (isIPv6(address) && address !== '::') return `‹address›${found.slice(end)}`
  }
  return found
}

/** Matches the name of a host, or what stands before its first dot; the longer one first. */
function hostPattern(host: string): RegExp {
  const names = [nameOf(host), shortName(host)].map((text) => text.replace(/[.-]/g, '\\$&'))
  return new RegExp(`(?<![\\w-])(?:${names.join('|')})(?![\\w-])`, 'gi')
}

/** The name up to its first dot. All of it for an address, or when only a number would be left. */
function shortName(host: string): string {
  const name = nameOf(host)
  const [short = name] = name.split('.', 1)
  return isIP(name) !== 0 || /^\d+$/.test(short) ? name : short
}

/** What a host calls itself: that of a request, `user@address`, knows its address alone. */
function nameOf(host: string): string {
  return parseRequestHost(host)?.address ?? host
}

/** The first host that the text names; the first host when it names none. Undefined when there are no hosts. */
export function hostNamedIn(text: string, hosts: readonly string[]): string | undefined {
  const words = new Set(
    text
      .toLowerCase()
      .split(/[^\w.-]+/)
      .flatMap((word) => [word, ...word.split('.')]),
  )
  return hosts.find((host) => words.has(shortName(host).toLowerCase())) ?? hosts[0]
}
