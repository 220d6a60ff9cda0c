/** Reads the W3C trace context of a call (recommendation of 2021-11-23, section 3.2). Starts no trace. */

/** Version 00: trace ID, parent ID and flags, in lower-case hexadecimal. */
const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/

/**
 * Returns a valid trace context from an HTTP header or the `_meta` of an MCP call, else undefined. The recommendation
 * says to ignore an invalid one, so it is never a reason to refuse a call.
 */
export function readTraceparent(value: unknown): string | undefined {
  return typeof value === 'string' && TRACEPARENT.test(value) ? value : undefined
}
