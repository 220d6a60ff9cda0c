/** The program that leads to a host of an SSH config, checked before each connection. */
import { MusterError } from '@muster/contract'
import { findNamedProgram, type Hop } from '@muster/inventory'
import { type Environment, plainEnvironment } from '@muster/runtime'
import type { SshHost } from '@muster/ssh'

/** What is needed to run such programs. */
export type ProxyOptions = {
  /** The absolute paths of the programs that the operator has named. */
  readonly programs: readonly string[]
  /** The worker's own environment, of which a program gets a few variables. */
  readonly env: Environment
}

/** The program that leads to a host must not be run, or cannot. */
export class ProxyRefused extends MusterError {}

/**
 * The program with its environment; undefined when the host is reached over the network.
 * @throws {ProxyRefused} others can change it, it is not there, or it is no program
 */
export async function proxyOf({ proxy }: Hop, { programs, env }: ProxyOptions): Promise<SshHost['proxy']> {
  if (proxy === undefined) return undefined
  try {
    const file = await findNamedProgram('proxy command', proxy[0], programs)
    return { file, argv: proxy, env: plainEnvironment(env) }
  } catch (cause) {
    if (!(cause instanceof MusterError)) throw cause
    throw new ProxyRefused(cause.code, cause.message, { cause })
  }
}
