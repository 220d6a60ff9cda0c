/** What an operation of the table is (operations.ts), and the fields that several of them share. */
import { z } from 'zod'
import type { Scope } from './api-key.ts'

/** Where an operation is found over REST. Fields in the path come from it; the rest from the query (GET) or body. */
export type RestRoute = {
  readonly method: 'GET' | 'POST'
  /** A path under the server, with `:field` for input fields. */
  readonly path: string
  /** The status of success. */
  readonly status: 200 | 202
  /** Set when the answer is a stream of server-sent events; `output` is then one of them. */
  readonly answers?: 'events'
  /** Longest body that is read. Absent: 1 MiB. */
  readonly bodyLimitBytes?: number
}

/** One row of the table. */
export type Operation = {
  readonly summary: string
  /** What a key must be allowed to do for it. */
  readonly scope: Scope
  readonly input: z.ZodType & { shape: z.ZodRawShape }
  readonly output: z.ZodType
  readonly rest?: RestRoute
}

/** Where a page of rows begins. */
export const cursor = z.string().max(100).optional().describe('next_cursor of the page before.')
/** How many rows a page has. */
export const limitOf = (most: number, usual: number) =>
  z.number().int().min(1).max(most).default(usual).describe(`Rows on a page, at most ${most}.`)
/** Where the next page begins. */
export const nextCursor = z.string().nullable().describe('Null on the last page.')
