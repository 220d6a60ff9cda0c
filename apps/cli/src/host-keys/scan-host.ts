/**
 * The host keys that a host shows, by OpenSSH's ssh-keyscan. What it prints is what a host says: a line that is no host
 * key of this host makes the whole scan a failure.
 *
 * A scan does not prove that the host holds these keys, so a person must compare a fingerprint.
 */
import { fingerprintOf, firstChars, knownHostsName, MusterError } from '@muster/contract'
import { askProgram, type Environment, findProgram, plainEnvironment } from '@muster/runtime'

/** A key that a host shows. */
export type ShownKey = { readonly type: string; readonly key: Buffer; readonly fingerprint: string }

/** What a scan found; `why` completes "cannot be scanned: …". */
export type Scan = { readonly keys: readonly ShownKey[] } | { readonly why: string }

/** Where a host listens. */
export type ScannedPlace = { readonly address: string; readonly port: number }

/** The types that workers accept. */
const TYPES: ReadonlySet<string> = new Set([
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'ssh-rsa',
])

/** For each connection; ssh-keyscan makes one for each type, at the same time. */
const ANSWER_S = 5
/** For all of it: looking up a name has a time of its own. */
const TIMEOUT_MS = 30_000
/** An RSA key of 16,384 bits takes 2,800 characters. */
const OUTPUT_LIMIT_BYTES = 64 * 1024

/**
 * The program.
 * @throws {MusterError} invalid_config where it is missing
 */
export async function findKeyscan(env: Environment): Promise<string> {
  const file = await findProgram('ssh-keyscan', env)
  if (file !== undefined) return file
  const advice = 'install the client of OpenSSH (Debian: apt-get install openssh-client)'
  throw new MusterError('invalid_config', `there is no ssh-keyscan on the PATH, which reads host keys: ${advice}`)
}

/** Asks a host for its keys. Never rejects for what a host or the network does. */
export async function scanHost(keyscan: string, place: ScannedPlace, env: Environment): Promise<Scan> {
  const asked = await askProgram({
    file: keyscan,
    calledAs: 'ssh-keyscan',
    args: ['-T', String(ANSWER_S), '-p', String(place.port), '-t', 'ed25519,ecdsa,rsa', '--', place.address],
    env: plainEnvironment(env),
    question: '',
    timeoutMs: TIMEOUT_MS,
    answerLimitBytes: OUTPUT_LIMIT_BYTES,
  })
  const scan = readScan(asked.answer.toString('latin1'), place)
  // It ends with 1 when one of the types is missing, so what it printed counts.
  if ('why' in scan || (asked.ok && scan.keys.length > 0)) return scan
  const isEnd = asked.ok || /^ended with status \d+$/.test(asked.why)
  if (!isEnd) return { why: `ssh-keyscan ${asked.why}` }
  if (scan.keys.length > 0) return scan
  const complaint = asked.complaints.split('\n').find((line) => line !== '' && !line.startsWith('#'))
  return {
    why: complaint === undefined ? `nothing showed a host key within ${ANSWER_S} s` : firstChars(complaint, 200),
  }
}

/** The keys in what ssh-keyscan printed for a host: lines `NAME TYPE KEY`, blank ones and comments. */
function readScan(text: string, place: ScannedPlace): Scan {
  const keys = new Map<string, ShownKey>()
  const name = knownHostsName(place.address, place.port)
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  for (const line of lines) {
    const [shown = '', type = '', base64 = '', ...more] = line.split(' ')
    const key = Buffer.from(base64, 'base64')
    const isKey = TYPES.has(type) && key.toString('base64') === base64 && isOfType(key, type)
    if (more.length > 0 || shown.toLowerCase() !== name || !isKey) {
      return { why: `ssh-keyscan printed what is no host key of ${name}: ${JSON.stringify(firstChars(line, 80))}` }
    }
    const other = keys.get(type)
    if (other?.key.equals(key) === false) return { why: `it shows two different ${type} keys` }
    keys.set(type, { type, key, fingerprint: fingerprintOf(key) })
  }
  return { keys: [...TYPES].flatMap((type) => keys.get(type) ?? []) }
}

/** Whether the key is made of whole fields, as RFC 4253 has them, of which the first is its type. */
function isOfType(key: Buffer, type: string): boolean {
  const fields: Buffer[] = []
  let at = 0
  while (at + 4 <= key.length) {
    const end = at + 4 + key.readUInt32BE(at)
    if (end > key.length) return false
    fields.push(key.subarray(at + 4, end))
    at = end
  }
  const count = type === 'ssh-ed25519' ? 2 : 3
  return at === key.length && fields.length === count && fields[0]?.toString('latin1') === type
}
