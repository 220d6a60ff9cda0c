/**
 * Asks a program of the operator's for one secret: a question in JSON on its standard input, the secret on its standard
 * output. Nothing secret is on a command line or in an environment, and no text about a failure holds what it printed.
 */
import { MusterError } from '@muster/contract'
import { findNamedProgram, type GivenSecretRef, SecretRefused } from '@muster/inventory'
import { askProgram, type Environment, type Logger, picked, plainEnvironment } from '@muster/runtime'
import { printable } from '@muster/ssh'

/** The version of the question. A program may refuse one that it does not know. */
const VERSION = 1

/** A person waits for the run, and a store of secrets that takes longer is in trouble. */
const TIMEOUT_MS = 10_000

/** As long as a secret file may be. */
const LIMIT_BYTES = 65_536

/** What the program is told of the log-in. */
export type AskedHost = {
  readonly name: string
  readonly address: string
  readonly port: number
  readonly user: string
  readonly certificate?: AskedCertificate
}

/** What a certificate is to say, in the question for it. */
export type AskedCertificate = {
  readonly public_key: string
  readonly key_id: string
  readonly principals: readonly string[]
  readonly valid_until: string
}

/** The program was run, or should have been, and gave no secret. That may pass, and says nothing about the host. */
export class CommandFailed extends MusterError {}

/** What asking needs. */
export type AskOptions = {
  /** The programs and directories that the operator has named. */
  readonly programs: readonly string[]
  /** The worker's own environment, and the names of variables in it that programs get besides the usual ones. */
  readonly env: Environment
  readonly passedOn: readonly string[]
  readonly log: Logger
}

/**
 * The secret, without one final line end.
 * @throws {SecretRefused} the program must not be run
 * @throws {CommandFailed} it gave none
 */
export async function askCommand(
  { gives, argv }: GivenSecretRef,
  { name, address, port, user, certificate }: AskedHost,
  options: AskOptions,
): Promise<string> {
  const [program, ...args] = argv
  const failed = (why: string, cause?: unknown) =>
    new CommandFailed('invalid_config', `the credential command ${program} (${gives} of ${name}) ${why}`, { cause })
  const file = await findNamedProgram('credential command', program, options.programs).catch((error: unknown) => {
    throw error instanceof MusterError && !(error instanceof SecretRefused) ? failed(`: ${error.message}`) : error
  })
  const { env, passedOn, log } = options
  const asked = await askProgram({
    file,
    calledAs: program,
    args,
    env: { ...plainEnvironment(env), ...picked(env, (variable) => passedOn.includes(variable)) },
    question: `${JSON.stringify({ version: VERSION, kind: gives, host: name, address, port, user, ...certificate })}\n`,
    timeoutMs: TIMEOUT_MS,
    answerLimitBytes: LIMIT_BYTES,
  })
  const secret = asked.answer.toString('utf8').replace(/\r?\n$/, '')
  if (asked.ok && secret !== '') return secret
  const why = asked.ok ? 'printed nothing on its standard output' : asked.why
  // Where it failed half-way, what it had printed may be the secret, and its complaint may repeat it.
  const complaint = secret === '' ? asked.complaints : asked.complaints.replaceAll(secret, '[secret]')
  log.warn(
    { program, kind: gives, host: name, why, stderr: printable(complaint.trim()) },
    'a credential command failed',
  )
  throw failed(`${why}${complaint.trim() === '' ? '' : '; the log of the worker has what it said'}`)
}
