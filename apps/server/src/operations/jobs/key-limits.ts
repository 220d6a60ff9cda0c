/**
 * The limits of the caller's API key on what a job may be: its hosts, forms, users and numbers, and whether it shares
 * hosts. Every job that is made, run again or helped on its way by a caller passes here; what counts over jobs, the
 * ledger counts.
 *
 * Jobs of Muster itself, such as looks, are made to fit where that changes nothing of them (`fitted`).
 */
import type { Principal } from '@muster/access'
import {
  CommandForm,
  countOf,
  foldHosts,
  HEALTH_TIMEOUT_S,
  type Input,
  type KeyLimits,
  MusterError,
} from '@muster/contract'
import { hostsOutside, type Inventory } from '@muster/inventory'
import { z } from 'zod'
import type { Fields } from '../call/request-input.ts'

type Request = Omit<Input<'submit_job'>, 'idempotency_key' | 'wait_s' | 'keep_secrets'>

/** The fields of a call that a number of the key limits. Each has a default, which the limit may lower. */
const LIMITED = {
  concurrency: 'max_concurrency',
  exec_timeout_s: 'max_exec_timeout_s',
  /** What the profile `original` calls it. */
  timeout: 'max_exec_timeout_s',
  output_limit_bytes: 'max_output_bytes',
} as const
const LIMITED_FIELDS = ['concurrency', 'exec_timeout_s', 'timeout', 'output_limit_bytes'] as const

/** Longest list of host names in a refusal. */
const NAMES_CHARS = 200

/**
 * The fields of a call, with the limits of the key in place of defaults that would exceed them. A field that was given
 * stays as it is, and is refused later if it is too much.
 */
export function withinDefaults(given: Fields, shape: z.ZodRawShape, limits: KeyLimits): Fields {
  const lowered = LIMITED_FIELDS.flatMap((field) => {
    const most = limits[LIMITED[field]]
    const schema = shape[field]
    const preset = schema instanceof z.ZodDefault ? schema.def.defaultValue : undefined
    const isTooMuch = most !== null && typeof preset === 'number' && preset > most
    return isTooMuch && !Object.hasOwn(given, field) ? [[field, most] as const] : []
  })
  return { ...given, ...Object.fromEntries(lowered), ...healthCheckWithin(given.health_check, limits) }
}

/** The health check with the limit of the key in place of its own default. */
function healthCheckWithin(given: unknown, { max_exec_timeout_s: most }: KeyLimits): Fields {
  const isLeftOut =
    typeof given === 'object' && given !== null && !Array.isArray(given) && !Object.hasOwn(given, 'timeout_s')
  if (most === null || most >= HEALTH_TIMEOUT_S || !isLeftOut) return {}
  return { health_check: { ...given, timeout_s: most } }
}

/** A request of Muster's own that is within the numbers of the key. */
export function fitted<R extends Request>(request: R, { limits }: Principal): R {
  return {
    ...request,
    concurrency: Math.min(Number(request.concurrency), limits.max_concurrency ?? Number.POSITIVE_INFINITY),
    exec_timeout_s: Math.min(request.exec_timeout_s, limits.max_exec_timeout_s ?? Number.POSITIVE_INFINITY),
    output_limit_bytes: Math.min(request.output_limit_bytes, limits.max_output_bytes ?? Number.POSITIVE_INFINITY),
  }
}

/** A request at a pace that the key allows: of a job that is run again, nobody has asked for one. */
export function paced<R extends Request>(request: R, total: number, { limits }: Principal): R {
  const most = limits.max_concurrency
  return most === null
    ? request
    : { ...request, concurrency: Math.min(countOf(request.concurrency, total, 'up'), most) }
}

/**
 * Passes when the key of the caller allows this job on these hosts. `isOurs`: the job is Muster's own: its form is none
 * of the caller's choice, and it does only read.
 * @throws {MusterError} key_limit naming the field, what was asked for and what is allowed
 */
export function requireAllowed(
  caller: Principal,
  request: Request,
  { hosts, inventory, isOurs = false }: { hosts: readonly string[]; inventory: Inventory; isOurs?: boolean },
): void {
  const { limits } = caller
  const refuse = (field: string, asked: string | number, allowed: string) => {
    throw exceeds(caller, field, String(asked), allowed)
  }
  requireHosts(caller, hosts, inventory)
  if (limits.max_hosts !== null && hosts.length > limits.max_hosts) {
    refuse('targets', `${hosts.length} hosts`, `${limits.max_hosts} of a job`)
  }
  for (const form of isOurs ? [] : formsOf(request)) {
    if (limits.forms?.includes(form.name) === false) refuse(form.field, form.name, limits.forms.join(', '))
  }
  const user = request.run_as ?? (request.sudo ? 'root' : undefined)
  if (user !== undefined && limits.sudo_users?.includes(user) === false) {
    const field = request.run_as === undefined ? 'sudo' : 'run_as'
    refuse(field, `sudo to ${user}`, limits.sudo_users.length === 0 ? 'no sudo' : limits.sudo_users.join(', '))
  }
  requireNumbers(caller, request, hosts.length)
  if (request.force && !limits.may_force) refuse('force', 'true', 'false')
  const sharesHosts = request.read_only || (request.host_limit ?? 1) > 1
  if (sharesHosts && !isOurs && !limits.may_claim_read_only) {
    refuse(request.read_only ? 'read_only' : 'host_limit', 'more than one run at a time on a host', 'one')
  }
}

/**
 * Passes when the key of the caller allows an exec timeout this long.
 * @throws {MusterError} key_limit
 */
export function requireExecTimeout(caller: Principal, execTimeoutS: number, field = 'exec_timeout_s'): void {
  const most = caller.limits.max_exec_timeout_s
  if (most !== null && execTimeoutS > most) throw exceeds(caller, field, `${execTimeoutS} s`, `${most} s`)
}

/**
 * Passes when the key of the caller allows so many runs at once, of a job of `total` hosts.
 * @throws {MusterError} key_limit
 */
export function requireConcurrency(caller: Principal, concurrency: number | string, total: number): void {
  const most = caller.limits.max_concurrency
  const count = countOf(concurrency, total, 'up')
  if (most !== null && count > most) throw exceeds(caller, 'concurrency', `${count} at once`, String(most))
}

function requireNumbers(caller: Principal, request: Request, total: number): void {
  requireConcurrency(caller, request.concurrency, total)
  requireExecTimeout(caller, request.exec_timeout_s)
  if (request.health_check !== undefined) requireExecTimeout(caller, request.health_check.timeout_s, 'health_check')
  const most = caller.limits.max_output_bytes
  const asked = request.output_limit_bytes
  if (most !== null && asked > most) throw exceeds(caller, 'output_limit_bytes', `${asked} bytes`, `${most} bytes`)
}

/** Hosts are named only to a key that may see the inventory. */
function requireHosts(caller: Principal, hosts: readonly string[], inventory: Inventory): void {
  const { keyId, limits, scopes } = caller
  const outside = hostsOutside(inventory, limits.hosts, hosts)
  if (outside.length === 0) return
  const names = scopes.has('hosts:read') ? `: ${foldHosts(outside).slice(0, NAMES_CHARS)}` : ''
  const may = limits.hosts.map((expression) => `"${expression.slice(0, NAMES_CHARS)}"`).join(' and ')
  const which = `${outside.length} of the ${hosts.length} hosts`
  const message = `targets: ${which} are not among ${may}, which the API key ${keyId} may touch${names}`
  throw new MusterError('key_limit', message, { details: { field: 'targets' } })
}

/** The forms in which a request has something run. A health check is a command line for a shell. */
function formsOf(request: Request): Array<{ field: string; name: CommandForm }> {
  const own = CommandForm.options.filter((name) => request[name] !== undefined).map((name) => ({ field: name, name }))
  return request.health_check === undefined ? own : [...own, { field: 'health_check', name: 'command' }]
}

function exceeds({ keyId }: Principal, field: string, asked: string, allowed: string): MusterError {
  const message = `${field}: ${asked} was asked for, and the API key ${keyId} allows ${allowed}`
  return new MusterError('key_limit', message, { details: { field } })
}
