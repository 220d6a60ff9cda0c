/**
 * The short fields of the record of a new job. Each is signed, or has its reason not to be (`FieldName`). The scripts
 * add where the job stands.
 */
import type { Input, JobSpec, Selection } from '@muster/contract'
import type { Rollout } from '../job/rollout.ts'
import type { FieldName } from '../job/signed-work.ts'
import { sharedMachines } from '../read/job-notices.ts'
import { type NewJob, sharesText } from './new-job.ts'

/** A field of the record of a job, and its value. */
export type RecordField = [FieldName, string | number]

/** The fields of a job. `spec` is without the texts that are stored beside the record. */
export function recordFields(job: NewJob, spec: JobSpec, rollout: Rollout): RecordField[] {
  const { request, hosts, machines, seed, traceparent, rerun, isTest = false } = job
  const force = spec.force ? 'all' : 'connect'
  return [
    ['concurrency', rollout.concurrency],
    ['max_errors', rollout.maxErrors],
    ['on_budget', spec.on_budget],
    ['host_limit', rollout.hostLimit],
    ['host_kind', spec.read_only ? 'read' : 'change'],
    ['selection', JSON.stringify(selectionOf(request, seed))],
    ['start_within_ms', toMs(spec.start_deadline_s)],
    ['spec', JSON.stringify(spec)],
    ['targets', request.targets],
    ['title', request.title ?? programName(request)],
    ['exec_timeout_ms', toMs(spec.exec_timeout_s)],
    ['kill_grace_ms', toMs(spec.kill_grace_s)],
    ['retries', spec.retries],
    ['backoff_ms', toMs(spec.retry_backoff_s)],
    // With commas at both ends, so that retry.lua finds a word between commas.
    ['retry_on', `,${(spec.retry_on ?? []).join(',')},`],
    ...fieldIf('health_timeout_ms', spec.health_check && toMs(spec.health_check.timeout_s)),
    ...fieldIf('traceparent', traceparent),
    ...fieldIf('rerun_of', rerun?.of),
    ...fieldIf('force', spec.force || isTest ? force : undefined),
    ...(machines === undefined ? [] : sharedMachines(hosts, machines)),
    ...keyFields(job),
    ...batchFields(spec, rollout, hosts.length),
    ...secretFields(job),
  ]
}

/** How the hosts were selected beside the target expression. `seed`: with which they were drawn or shuffled. */
export function selectionOf(request: Input<'submit_job'>, seed: number | undefined): Selection {
  const { exclude = null, pick = null, order, limit = null } = request
  return { exclude, pick, order, limit, seed: seed ?? null }
}

/** A number of milliseconds, for one of seconds. */
export function toMs(seconds: number): number {
  return Math.round(seconds * 1_000)
}

function fieldIf(name: FieldName, value: string | number | undefined): RecordField[] {
  return value === undefined ? [] : [[name, value]]
}

/** Whose job it is, and what limits the key that submitted it. */
function keyFields({ owner, keyId, keyLimits }: NewJob): RecordField[] {
  const { hosts = [], shares = [] } = keyLimits ?? {}
  return [
    ['owner', owner],
    ...fieldIf('key_id', keyId),
    ...fieldIf('key_hosts', hosts.length === 0 ? undefined : JSON.stringify(hosts)),
    ...fieldIf('key_runs', sharesText(shares, 'max_concurrency') || undefined),
  ]
}

/** The batches, and where the rollout is. */
function batchFields(spec: JobSpec, { batches }: Rollout, total: number): RecordField[] {
  const [first] = batches
  if (first === undefined) return []
  return [
    ['batches', batches.join(',')],
    ['batch_pause_ms', toMs(spec.batch_pause_s)],
    ['gate', spec.gate],
    ['batch', 0],
    ['batch_from', 0],
    ['batch_end', Math.min(first, total)],
  ]
}

function secretFields({ secrets }: NewJob): RecordField[] {
  if (secrets === undefined) return []
  if ('keptBy' in secrets) return [['secrets_of', secrets.keptBy]]
  return secrets.isKept ? [['keep_secrets', 1]] : []
}

/** The name of the program, for lists and Bull Board. Not the command line, which may hold a password. */
function programName(request: { command?: string; argv?: string[]; script?: string }): string {
  if (request.script !== undefined) return 'script'
  const words = request.argv ?? request.command?.trim().split(/\s+/) ?? []
  const program = words.find((word) => !/^[A-Za-z_][A-Za-z0-9_]*=/.test(word)) ?? ''
  const name = program.slice(program.lastIndexOf('/') + 1)
  return /^[\w.+-]{1,40}$/.test(name) ? name : 'command'
}
