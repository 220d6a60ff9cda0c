/**
 * The secrets of a request on their way to the ledger: sealed for the workers, or found with the job that is run again.
 * A server cannot open what it has sealed.
 */
import {
  ConnectWithSecrets,
  type Input,
  type JobSecrets,
  type JobSpec,
  MusterError,
  secretNames as namesOf,
  secretsIn,
  withoutLoginSecrets,
} from '@muster/contract'
import type { NewSecrets, Rerun } from '@muster/ledger'
import type { Caller, OperationDeps } from '../call/operation.ts'

/** The fields of a request that are no secrets. */
type Open = Omit<Input<'submit_job'>, 'sudo_password' | 'secret_env' | 'secret_stdin' | 'connect'> &
  Pick<JobSpec, 'connect'>

/**
 * A request without its secrets, and those, ready to be sealed; undefined when there are none.
 * @throws {MusterError} secrets_not_accepted when this server cannot seal them
 */
export function takeSecrets(
  deps: OperationDeps,
  request: Input<'submit_job'>,
  caller: Caller,
): { open: Open; secrets: NewSecrets | undefined } {
  const { sudo_password: _password, secret_env: _env, secret_stdin: _stdin, connect, ...rest } = request
  const way = withoutLoginSecrets(connect)
  const open = { ...rest, ...(way && { connect: way }) }
  const secrets = secretsIn(request)
  return { open, secrets: secrets && toSeal(deps, secrets, caller, request.keep_secrets) }
}

/**
 * The secrets of a job that is run again: those that are given, or else those that were kept.
 * @throws {MusterError} secrets_not_kept naming those that are missing; secrets_not_accepted; invalid_request for one
 *   that the job has no use for
 */
export function secretsOfRerun(
  deps: OperationDeps,
  input: Input<'rerun_job'>,
  { request, secretNames, secretsKeptBy }: Rerun,
  caller: Caller,
): NewSecrets | undefined {
  const given = secretsIn(input)
  if (given === undefined && secretNames.length === 0) {
    if (!input.keep_secrets) return undefined
    throw unwanted('keep_secrets', `job ${input.job_id} has no secrets to keep`)
  }
  if (given === undefined && secretsKeptBy !== undefined) return { names: secretNames, keptBy: secretsKeptBy }
  const names = given === undefined ? [] : namesOf(given)
  const missing = secretNames.filter((name) => !names.includes(name))
  if (given === undefined || missing.length > 0) {
    const why = secretsKeptBy === undefined ? 'were not kept' : 'are given anew, so all of them must be'
    const message = `the secrets of job ${input.job_id} ${why}: give ${missing.join(', ')} with the rerun`
    throw new MusterError('secrets_not_kept', message, { details: { job_id: input.job_id } })
  }
  const [extra] = names.filter((name) => !secretNames.includes(name) && !isOfLogin(name))
  if (extra !== undefined) {
    const field = extra.split('.')[0] ?? extra
    throw unwanted(field, `job ${input.job_id} had no ${extra}, and a rerun is of the same command`)
  }
  if (given.sudo_password !== undefined && !request.sudo && request.run_as === undefined) {
    throw unwanted('sudo_password', `job ${input.job_id} does not use sudo`)
  }
  const [mistake] = ConnectWithSecrets.safeParse({ ...request.connect, ...given.connect }).error?.issues ?? []
  if (mistake !== undefined) throw unwanted('connect', `with that of job ${input.job_id}: ${mistake.message}`)
  return toSeal(deps, given, caller, input.keep_secrets)
}

/** Whether a rerun may bring it although the job had none: what a host wants, and not what the command gets. */
function isOfLogin(name: string): boolean {
  return name === 'sudo_password' || name.startsWith('connect.')
}

function toSeal({ sealer }: OperationDeps, secrets: JobSecrets, caller: Caller, isKept: boolean): NewSecrets {
  const names = namesOf(secrets)
  if (sealer === undefined) {
    const message = `${names.join(', ')}: this server was started without the public key of the workers`
    throw new MusterError('secrets_not_accepted', message)
  }
  return {
    names,
    isKept,
    mac: caller.mac(JSON.stringify(secrets)),
    seal: async (what) => {
      try {
        return await sealer.seal(secrets, what)
      } catch (cause) {
        if (!(cause instanceof MusterError)) throw cause
        throw new MusterError('secrets_not_accepted', cause.message, { cause })
      }
    },
  }
}

function unwanted(field: string, message: string): MusterError {
  return new MusterError('invalid_request', `${field}: ${message}`, { details: { field } })
}
