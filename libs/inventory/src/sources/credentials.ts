/**
 * The credentials of a host, as references: those that its entry names, or the usual ones of OpenSSH.
 *
 * This reads no key and no secret; it only checks whether the usual key files exist.
 */
import { access } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { AuthorityRef, CredentialRef, GivenKind, GivenSecretRef, SecretRef } from '../hosts/inventory-host.ts'
import type { Defaults } from './inventory-fields.ts'

/** The keys that OpenSSH tries unless configured, the strongest first; ssh_config(5), IdentityFile. */
const USUAL_KEYS = ['id_ed25519', 'id_ecdsa', 'id_rsa']

/** Long enough for a job on many hosts, short enough for a secret that was replaced. */
const TTL_S = 300

/** The path with a leading `~` replaced by the home; no shell does that for a value from a file. */
export function expandHome(path: string, home: string): string {
  return path === '~' || path.startsWith('~/') ? join(home, path.slice(1)) : path
}

/** Like {@link expandHome}; a relative path starts from the directory of the file that names it. */
function expandPath(path: string, base: { home: string; directory: string }): string {
  return resolve(base.directory, expandHome(path, base.home))
}

/**
 * The credentials that an entry names: key, agent, password, in this order; undefined when it names none. With a key,
 * the agent does not count separately: it may hold this very key, and is asked for no other.
 */
export function namedCredentials(
  fields: Omit<Defaults, 'user' | 'port'>,
  base: { home: string; directory: string; agentSocket?: string },
): readonly CredentialRef[] | undefined {
  const credentials: CredentialRef[] = []
  const passphrase =
    secretRef(fields.passphrase_file, fields.passphrase_env, base) ?? givenSecret('passphrase', fields, base)
  const key = givenSecret('key', fields, base)
  const certifiedBy = certifierOf(fields, base, passphrase)
  if (certifiedBy !== undefined) credentials.push({ kind: 'run_certificate', by: certifiedBy })
  if (fields.identity_file !== undefined) {
    const identityFile = expandPath(fields.identity_file, base)
    const certificateFile =
      fields.certificate_file === undefined ? undefined : expandPath(fields.certificate_file, base)
    const besides = { ...(passphrase && { passphrase }), ...(certificateFile !== undefined && { certificateFile }) }
    credentials.push({ kind: 'key', identityFile, ...besides })
  } else if (key !== undefined) credentials.push({ kind: 'given_key', secret: key, ...(passphrase && { passphrase }) })
  else if (fields.agent !== undefined) credentials.push(agent(base.agentSocket))
  const password = secretRef(fields.password_file, fields.password_env, base) ?? givenSecret('password', fields, base)
  if (password !== undefined) credentials.push({ kind: 'password', secret: password })
  return credentials.length === 0 ? undefined : frozen(credentials)
}

/** The reference to the password for sudo that an entry names; undefined when it names none. */
export function namedSudoPassword(fields: Defaults, base: { home: string; directory: string }): SecretRef | undefined {
  return (
    secretRef(fields.sudo_password_file, fields.sudo_password_env, base) ?? givenSecret('sudo_password', fields, base)
  )
}

/**
 * The credentials of a host that names none: the agent, if there is a socket of one, then the usual key files that
 * exist below `home`. Empty when there is nothing.
 */
export async function usualCredentials(
  home: string,
  agentSocket: string | undefined,
): Promise<readonly CredentialRef[]> {
  const credentials: CredentialRef[] = agentSocket === undefined ? [] : [agent(agentSocket)]
  for (const name of USUAL_KEYS) {
    const identityFile = join(home, '.ssh', name)
    if (await exists(identityFile)) credentials.push({ kind: 'key', identityFile, isOfOpenSsh: true })
  }
  return frozen(credentials)
}

function secretRef(
  file: string | undefined,
  variable: string | undefined,
  base: { home: string; directory: string },
): SecretRef | undefined {
  if (file !== undefined) return Object.freeze({ kind: 'file', path: expandPath(file, base) })
  return variable === undefined ? undefined : Object.freeze({ kind: 'env', name: variable })
}

/** Who certifies the keys of runs; undefined where nobody does. */
function certifierOf(
  fields: Defaults,
  base: { home: string; directory: string },
  passphrase: SecretRef | undefined,
): GivenSecretRef | AuthorityRef | undefined {
  if (fields.certificate === undefined) return undefined
  const [program, ...args] = fields.certificate_command ?? []
  if (program !== undefined) {
    const argv = [expandHome(program, base.home), ...args] as const
    return Object.freeze({ kind: 'command', gives: 'certificate', argv, ttlS: 0 })
  }
  const file = fields.certificate_authority_file
  if (file === undefined) return undefined
  return Object.freeze({ kind: 'authority', identityFile: expandPath(file, base), ...(passphrase && { passphrase }) })
}

/** The secret of this kind, if the entry names a command that gives it. */
function givenSecret(gives: GivenKind, fields: Defaults, base: { home: string }): GivenSecretRef | undefined {
  const { credential_command: command, credential_kinds: kinds = ['password'], credential_ttl_s: ttlS = TTL_S } = fields
  const [program, ...args] = command ?? []
  if (program === undefined || !kinds.includes(gives)) return undefined
  return Object.freeze({ kind: 'command', gives, argv: [expandHome(program, base.home), ...args] as const, ttlS })
}

function agent(socket: string | undefined): CredentialRef {
  return { kind: 'agent', ...(socket !== undefined && { socket }) }
}

function frozen(credentials: CredentialRef[]): readonly CredentialRef[] {
  return Object.freeze(credentials.map((credential) => Object.freeze(credential)))
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
