/** The sets of tools that an MCP client can ask for: `muster mcp --tools NAME`, `POST /mcp?tools=NAME`. */
import { z } from 'zod'
import { MusterError } from '../errors/errors.ts'
import type { ToolName } from './tools.ts'

/** `default`: those of TOOLS. `original`: those of ORIGINAL_TOOLS, and {@link BESIDE_ORIGINAL}. */
export const ToolProfile = z.enum(['default', 'original'])
export type ToolProfile = z.infer<typeof ToolProfile>

/** What the profile `original` takes of the default one: how a command that takes longer is followed and ended. */
export const BESIDE_ORIGINAL = [
  'get_job',
  'wait_job',
  'get_output',
  'cancel_job',
  'list_jobs',
  'list_hosts',
] as const satisfies readonly ToolName[]

/**
 * The profile that a caller names. `field` is what they wrote it in.
 * @throws {MusterError} invalid_request naming those there are
 */
export function toolProfileOf(given: unknown, field: string): ToolProfile {
  const profile = ToolProfile.safeParse(given ?? 'default')
  if (profile.success) return profile.data
  const known = ToolProfile.options.join(' and ')
  const received = typeof given === 'string' ? JSON.stringify(given.slice(0, 100)) : 'more than one'
  throw new MusterError('invalid_request', `${field}: there is no set of tools ${received}; there are ${known}`)
}
