/**
 * The host that a call of the profile `original` names, as a request of Muster names it; and refusals of such requests
 * in the words of the call.
 */
import { isHostName, MusterError, parseRequestHost, toProblem, writeRequestHost } from '@muster/contract'

/** The port that a call means when it names none. */
const USUAL_PORT = 22

/** What a call says of its host. */
type Named = {
  readonly hostname: string
  readonly username: string
  readonly port: number
  readonly password: string | null
  readonly key_path: string | null
}

/** How a request of Muster names the host: a target expression for one host, and what logs in there. */
export type NamedHost = {
  readonly targets: string
  readonly connect?: { readonly password?: string; readonly identity_file?: string }
}

/**
 * The host of a call. `hostname` may be written as OpenSSH users do, with user and port, if they are no others than
 * `username` and `port`. Port 22 is as good as none: a host that the inventory has by this name is reached by its own.
 * @throws {MusterError} invalid_request
 */
export function hostOfCall({ hostname, username, port, password, key_path: keyPath }: Named): NamedHost {
  const isWhole = hostname.includes('@') || hostname.startsWith('ssh://')
  const read = parseRequestHost(isWhole ? hostname : `${username}@${hostname}`)
  if (read === undefined) {
    throw mistake('hostname', `received ${JSON.stringify(hostname)}; expected a name or an address, such as 10.0.0.5`)
  }
  const { user = username, address, port: written = port } = read
  if (user !== username) throw mistake('username', `received ${username}, and hostname names the user ${user}`)
  if (written !== port && port !== USUAL_PORT) {
    throw mistake('port', `received ${port}, and hostname names the port ${written}`)
  }
  const connect = {
    ...(password === null ? {} : { password }),
    ...(keyPath === null ? {} : { identity_file: keyPath }),
  }
  return {
    targets: writeRequestHost({ user, address, port: written }),
    ...(Object.keys(connect).length === 0 ? {} : { connect }),
  }
}

/**
 * A host of the inventory, by its name.
 * @throws {MusterError} unknown_target for what cannot be the name of one host
 */
export function namedServer(name: string): NamedHost {
  if (isHostName(name)) return { targets: name }
  const message = `server_name: ${JSON.stringify(name)} is not the name of one host of the inventory`
  throw new MusterError('unknown_target', message, { details: { field: 'server_name' } })
}

/** What fields of operations are called here. Those that are not named are called the same. */
const WORDS: readonly (readonly [RegExp, string])[] = [
  [/\bconnect\.identity_file\b/g, 'key_path'],
  [/\bconnect\.password\b/g, 'password'],
  [/^connect\b/g, 'password and key_path'],
  [/\bleave connect out\b/g, 'leave both out'],
  [/\bexec_timeout_s\b/g, 'timeout'],
  [/^path\b/g, 'directory'],
]

/** A refusal in the words of a call whose host is in `field`; anything else as it is. */
export function inWordsOfCall(error: unknown, field: 'hostname' | 'server_name'): unknown {
  if (!(error instanceof MusterError)) return error
  const words = [...WORDS, [/^(targets|host)\b/g, field] as const]
  const told = (text: string) => words.reduce((said, [from, to]) => said.replace(from, to), text)
  const { details } = error
  const named = details.field === undefined ? {} : { field: told(details.field) }
  return new MusterError(error.code, told(error.message), { details: { ...details, ...named }, cause: error })
}

/** Refusals because of the host that a call names. The script answered them as a failed command. */
const OF_HOST: ReadonlySet<string> = new Set(['unknown_target', 'invalid_target', 'no_targets', 'host_not_allowed'])

/** Why a call is refused because of its host, and what to do; undefined for any other error. */
export function refusalOfHost(error: unknown): string | undefined {
  if (!(error instanceof MusterError) || !OF_HOST.has(error.code)) return undefined
  const { detail, next, nearest = [] } = toProblem(error)
  const untold = nearest.filter((name) => !detail.includes(name))
  const names = untold.length === 0 ? '' : ` Nearest names: ${untold.join(', ')}.`
  return `${detail}${detail.endsWith('?') ? '' : '.'} ${next}${names}`
}

function mistake(field: string, text: string): MusterError {
  return new MusterError('invalid_request', `${field}: ${text}`, { details: { field } })
}
