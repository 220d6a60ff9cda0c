/**
 * The faults of Muster and of requests: one class, one table of codes.
 *
 * A command that fails on a host is no fault but a value: the `state` and `reason` of its run.
 */
import { z } from 'zod'

/**
 * Every fault Muster can report. `status` is the HTTP status; `meaning` and `next`, what to do about it, are for
 * people.
 */
export const ERRORS = {
  invalid_request: {
    status: 400,
    meaning: 'The request does not have the documented form.',
    next: 'Correct the named field and send the request again.',
  },
  invalid_target: {
    status: 422,
    meaning: 'The target expression cannot be parsed.',
    next: 'Correct the expression at the given position.',
  },
  unauthorized: {
    status: 401,
    meaning: 'No API key was given, or it is unknown, expired or revoked.',
    next:
      'Send a valid key as "Authorization: Bearer <key>". The first one is in the data directory, in the file ' +
      'api-key; muster keys create makes others.',
  },
  insufficient_scope: {
    status: 403,
    meaning: 'The API key may not do this.',
    next: 'Use a key with the named scope; whoever made this key can make one.',
  },
  key_limit: {
    status: 403,
    meaning: 'The API key has a limit that this would exceed.',
    next: 'Ask for less in the named field, or use a key with a wider limit.',
  },
  rate_limited: {
    status: 429,
    meaning: 'The API key has made too many calls in a short time.',
    next: 'Wait for the time in Retry-After, then call again; wait_s saves calls.',
  },
  share_taken: {
    status: 429,
    meaning: 'The API key or its owner already has its share of what the server can do at once.',
    next: 'Wait for the time in Retry-After, or end one of your own first. Without wait_s a call is answered at once.',
  },
  forbidden_origin: {
    status: 403,
    meaning: 'The Host, Origin or Sec-Fetch-Site header names a site that may not call this server.',
    next:
      'Call the server by the address it listens on, or add the name to MUSTER_ALLOWED_HOSTS. Behind a proxy, name ' +
      'the proxy in MUSTER_TRUSTED_PROXIES, and have it send X-Forwarded-Proto and X-Forwarded-Host.',
  },
  not_found: {
    status: 404,
    meaning: 'There is no such job, run, key or route.',
    next: 'Check the ID and the host: the jobs are listed with their IDs, the runs of a job with its hosts.',
  },
  idempotency_conflict: {
    status: 409,
    meaning: 'The idempotency key was used before with another request.',
    next: 'Use a new key for a new request.',
  },
  signature_invalid: {
    status: 409,
    meaning: 'What Redis holds of the job is not what a server has signed.',
    next: 'Submit the job again in full. If nobody has changed keys or put Redis back, somebody has changed it.',
  },
  secrets_not_accepted: {
    status: 422,
    meaning: 'The server cannot seal secrets for its workers.',
    next:
      'Name the public key of the workers in MUSTER_WORKER_PUBLIC_KEY_FILE of the server; muster worker-keys make ' +
      'writes it, and the private one for MUSTER_WORKER_KEY_FILE of the workers.',
  },
  secrets_not_kept: {
    status: 409,
    meaning: 'The secrets of the job went with its end.',
    next: 'Give the named secrets again with the rerun, or submit jobs with keep_secrets.',
  },
  job_ended: {
    status: 409,
    meaning: 'The job has ended, so nothing of it can be changed.',
    next: 'Read its result, or submit a new job.',
  },
  job_not_paused: {
    status: 409,
    meaning: 'The job does not wait at a gate, so there is nothing to resume.',
    next: 'Read the job: its state says what it does.',
  },
  last_key: {
    status: 409,
    meaning: 'The API key is the last one that can manage all keys.',
    next:
      'For a new secret, rotate it. To be rid of it, start the server with a key of your own in MUSTER_API_KEY, and ' +
      'revoke this one with that. A key that it has made itself would be revoked with it.',
  },
  too_large: {
    status: 413,
    meaning: 'The request body is larger than the server takes.',
    next:
      'Send less. A script and a stdin of 16 MiB each go over REST and muster run; copy larger files by other ' +
      'means.',
  },
  unsupported_media_type: {
    status: 415,
    meaning: 'The request does not say that its body is JSON.',
    next: 'Send "Content-Type: application/json" with every POST, also without a body.',
  },
  unknown_target: {
    status: 422,
    meaning: 'A host or group is not in the inventory.',
    next: 'Correct the name, or add the host to the inventory.',
  },
  host_not_allowed: {
    status: 403,
    meaning: 'A request may not name this host: it is not in the inventory.',
    next:
      'Add the host to the inventory, or have an operator allow it in MUSTER_ADHOC_HOSTS, on the server and on the ' +
      'workers.',
  },
  no_targets: {
    status: 422,
    meaning: 'The target expression selects no host.',
    next: 'Change the named field so that at least one host is left.',
  },
  busy: {
    status: 503,
    meaning: 'The server serves as many followers and waits, or reads as many large requests, as it can.',
    next: 'Try again after the time in Retry-After; instead of following, ask by offset, or without wait_s.',
  },
  invalid_inventory: {
    status: 500,
    meaning: 'The inventory cannot be used as it is.',
    next: 'Correct the named lines; the last good inventory stays in force.',
  },
  invalid_config: {
    status: 500,
    meaning: 'The environment or a file named in it cannot be used.',
    next: 'Correct the named variables and start again.',
  },
  ledger_full: {
    status: 507,
    meaning: 'Redis has no memory left for more.',
    next:
      'Raise maxmemory of Redis, or remove other data from it; then send the request again. Jobs that were accepted ' +
      'go on, and can be read and cancelled.',
  },
  ledger_unavailable: {
    status: 503,
    meaning: 'Redis cannot be reached, or did not answer in time.',
    next: 'Try again after the time in Retry-After; a submit with the same idempotency key, so that it is one job.',
  },
  job_damaged: {
    status: 500,
    meaning: 'What Redis holds of the job cannot be read.',
    next: 'The log of the server names what is damaged. Put Redis back from a copy, or submit the job again.',
  },
  internal: {
    status: 500,
    meaning: 'A fault in Muster.',
    next: 'Look at the log of the server under the request ID.',
  },
} as const satisfies Record<string, { status: number; meaning: string; next: string }>

/** A code from {@link ERRORS}. */
export type ErrorCode = keyof typeof ERRORS

/** A fault as callers see it: `application/problem+json` (RFC 9457), and the error texts of MCP and CLI. */
export const Problem = z
  .object({
    type: z.literal('about:blank'),
    title: z.string().describe('What the code means.'),
    status: z.number().int().describe('The HTTP status.'),
    code: z.string().describe('A stable code, the one thing programs should branch on.'),
    detail: z.string().describe('What failed here, and the value that was received.'),
    next: z.string().describe('What to do about it.'),
    field: z.string().optional().describe('The field at fault. Absent when no single field is.'),
    position: z.number().int().optional().describe('Zero-based position in a target expression.'),
    nearest: z.array(z.string()).optional().describe('Known names close to an unknown one.'),
    job_id: z.string().optional().describe('The job concerned. Absent when there is none.'),
    scope: z.string().optional().describe('With insufficient_scope: the scope that the API key lacks.'),
    retry_after_s: z
      .number()
      .int()
      .optional()
      .describe('With rate_limited, share_taken and busy: seconds to wait before the next call.'),
  })
  .meta({ id: 'Problem' })
export type Problem = z.infer<typeof Problem>

/** What an error carries besides its text, under the same names as {@link Problem}. */
export type ErrorDetails = Pick<Problem, 'field' | 'position' | 'nearest' | 'job_id' | 'scope' | 'retry_after_s'>

/** A fault of Muster or of the request. `code` is stable; `details` holds IDs and names as data. */
export class MusterError extends Error {
  override readonly name = 'MusterError'
  readonly code: ErrorCode
  readonly details: ErrorDetails

  constructor(code: ErrorCode, message: string, options: { details?: ErrorDetails; cause?: unknown } = {}) {
    super(message, { cause: options.cause })
    this.code = code
    this.details = options.details ?? {}
  }
}

/** The fault as callers see it. The message of an unknown error, and of any error with status 500, is withheld. */
export function toProblem(error: unknown): Problem {
  const known = error instanceof MusterError ? error : new MusterError('internal', ERRORS.internal.meaning)
  const { status, meaning, next } = ERRORS[known.code]
  const detail = status === 500 ? meaning : known.message
  return { type: 'about:blank', title: meaning, status, code: known.code, detail, next, ...known.details }
}
