/**
 * Which fields of answers only some callers may read. A field is marked where its schema is, once for every operation
 * that answers with it; `shownTo` leaves out what a caller may not read. The mark is the name of a scope.
 *
 * A field that is not marked is told to whoever may call the operation: what a job is called by, how it stands, counts.
 */
import { z } from 'zod'

/** A scope that a field may need (api-key.ts). `jobs:read`: what is in a job; the other: what it ran and printed. */
export type ReaderScope = 'jobs:read' | 'jobs:read:output'

const readers = z.registry<{ scope: ReaderScope }>()

/** Marks the schema of a field: without this scope its value is null, or it is absent if it may not be null. */
export function readBy<T extends z.ZodType>(scope: ReaderScope, schema: T): T {
  readers.add(schema, { scope })
  return schema
}

/** The scope that the field with this schema needs. Undefined: none. */
export function readerOf(schema: z.core.$ZodType): ReaderScope | undefined {
  return readers.get(schema)?.scope
}

/**
 * An answer, as a caller with these scopes may read it. It is walked by its schema, so nothing is told that the schema
 * does not know.
 */
export function shownTo<T>(scopes: ReadonlySet<string>, schema: z.ZodType<T>, answer: T): T {
  return scopes.has('jobs:read') && scopes.has('jobs:read:output') ? answer : schema.parse(view(scopes, schema, answer))
}

function view(scopes: ReadonlySet<string>, schema: z.core.$ZodType, value: unknown): unknown {
  if (value === null || value === undefined) return value
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable || schema instanceof z.ZodDefault) {
    return view(scopes, schema.def.innerType, value)
  }
  if (schema instanceof z.ZodArray && Array.isArray(value)) {
    return value.map((element: unknown) => view(scopes, schema.def.element, element))
  }
  if (schema instanceof z.ZodUnion) {
    const option = schema.def.options.find((one) => z.safeParse(one, value).success)
    return option === undefined ? undefined : view(scopes, option, value)
  }
  if (schema instanceof z.ZodRecord) {
    return Object.fromEntries(entriesOf(value).map(([key, held]) => [key, view(scopes, schema.def.valueType, held)]))
  }
  return schema instanceof z.ZodObject ? viewOfObject(scopes, schema, value) : value
}

function viewOfObject(scopes: ReadonlySet<string>, { shape }: z.ZodObject, value: unknown): unknown {
  const held = new Map(entriesOf(value))
  return Object.fromEntries(
    Object.entries(shape).flatMap(([name, field]) => {
      if (!held.has(name)) return []
      const reader = readerOf(field)
      if (reader === undefined || scopes.has(reader)) return [[name, view(scopes, field, held.get(name))]]
      return z.safeParse(field, null).success ? [[name, null]] : []
    }),
  )
}

function entriesOf(value: unknown): Array<[string, unknown]> {
  return typeof value === 'object' && value !== null ? Object.entries(value) : []
}
