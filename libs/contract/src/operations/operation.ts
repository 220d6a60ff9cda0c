/** What a row of the operation table is (operations.ts), and the fields that several rows share. */
import { z } from 'zod'
import { JobId } from '../jobs/job.ts'
import { REQUEST_HOST_CHARS } from '../targets/request-host.ts'
import type { Scope } from './api-key.ts'

/**
 * The REST route of an operation. Fields named in the path come from it, the others from the query (GET) or the body.
 */
export type RestRoute = {
  readonly method: 'GET' | 'POST'
  /** A path under the server, with `:field` for input fields. */
  readonly path: string
  /** What the operation does, for the OpenAPI document. */
  readonly summary: string
  /** The status of success. */
  readonly status: 200 | 202
  /** Set when the answer is a stream of server-sent events; `output` is then one event. */
  readonly answers?: 'events'
  /** Longest body that is read. Absent: 1 MiB. */
  readonly bodyLimitBytes?: number
}

/** One row of the table. */
export type Operation = {
  /** What a key must be allowed to do to call it. */
  readonly scope: Scope
  readonly input: z.ZodType & { shape: z.ZodRawShape }
  readonly output: z.ZodType
  /** Absent: only tools call it. */
  readonly rest?: RestRoute
}

/** The job that a call is about. */
export const ofJob = { job_id: JobId }
/** The run that a call is about. */
export const ofRun = { ...ofJob, host: z.string().min(1).max(REQUEST_HOST_CHARS).describe('A host of the job.') }

/** Where a page of rows begins. */
export const cursor = z.string().max(100).optional().describe('next_cursor of the page before.')
/** How many rows a page has. */
export const limitOf = (most: number, usual: number) =>
  z.number().int().min(1).max(most).default(usual).describe(`Rows on a page, at most ${most}.`)
/** Where the next page begins. */
export const nextCursor = z.string().nullable().describe('Null on the last page.')

/** Fields of a submit whose values may hold a password: an error never repeats them. */
export const PRIVATE_FIELDS: ReadonlySet<PropertyKey> = new Set([
  'command',
  'argv',
  'script',
  'script_args',
  'stdin',
  'env',
  'health_check',
  'sudo_password',
  'secret_env',
  'secret_stdin',
  'password',
  'passphrase',
  'private_key',
])
