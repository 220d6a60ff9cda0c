/** Who started the server, and what they are told of its first key. */
import type { FirstKey } from '@muster/access'
import type { Logger } from '@muster/runtime'

/** Who started the server. */
export type Operator = {
  /** Shows a line, unlogged. */
  print(line: string): void
  /** Who reads the lines: a person on a terminal, the `muster` of a stack, or a supervisor, which keeps them. */
  readonly reader: 'person' | 'muster' | 'supervisor'
}

/**
 * The operator of a process. What process 1 or a child of it prints is kept, also with a terminal of its own: it is the
 * main program of a container (`docker run -t`), or a service. A person's shell is the parent of what a person starts.
 */
export function operatorOf(own: {
  readonly stdout: Pick<NodeJS.WriteStream, 'isTTY' | 'write'>
  readonly ppid: number
  /** Whether there is an IPC channel: only `muster` starts a server with one. */
  readonly connected: boolean
}): Operator {
  const isPerson = own.stdout.isTTY === true && own.ppid > 1
  return {
    print: (line) => void own.stdout.write(`${line}\n`),
    reader: own.connected ? 'muster' : isPerson ? 'person' : 'supervisor',
  }
}

/** Tells where the first key is, unless `muster up` does. Its text is shown to a person, once. */
export function tellFirstKey(firstKey: FirstKey, logger: Logger, { print, reader }: Operator): void {
  switch (firstKey.kind) {
    case 'made':
      if (reader === 'person') print(`API key (shown this once, and kept in ${firstKey.file}): ${firstKey.key}`)
      if (reader === 'supervisor') print(`API key: in ${firstKey.file}, which only this user can read`)
      logger.info({ file: firstKey.file }, 'made the first API key')
      break
    case 'given':
      if (firstKey.revokedAt === null) {
        logger.info({ key_id: firstKey.keyId }, 'the API key in MUSTER_API_KEY is accepted')
      } else {
        const told = { key_id: firstKey.keyId, revoked_at: firstKey.revokedAt }
        logger.warn(told, 'the API key in MUSTER_API_KEY was revoked and stays so: put another one there')
      }
      break
    case 'known':
      break
    case 'elsewhere':
      logger.warn(`the first API key was made before, but ${firstKey.file} does not hold it: ${firstKey.advice}`)
      break
    default:
      firstKey satisfies never
  }
}
