/** Reads the W3C trace context (recommendation of 2021-11-23, section 3.2) that comes with a call. Starts no trace. */

/** Version 00: trace ID, parent ID and flags, in lower-case hexadecimal. */
const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/

/**
 * The trace context, from an HTTP header or the `_meta` of an MCP call. Undefined for anything else than a valid one: by
 * the recommendation that is as good as none, and never a reason to refuse a call.
 */
export function readTraceparent(value: unknown): string | undefined {
  return typeof value === 'string' && TRACEPARENT.test(value) ? value : undefined
}
