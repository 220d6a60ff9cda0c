/** Who started the server, and what they are told of its first key. */
import type { FirstKey } from '@muster/access'
import type { Logger } from '@muster/runtime'

/** Who started the server. */
export type Operator = {
  /** Shows a line, unlogged. */
  print(line: string): void
  /** Whether a person reads the lines on a terminal. Anything else may keep them, as a supervisor does. */
  readonly isPerson: boolean
}

/**
 * The operator of a process. What process 1 or a child of it prints is kept, also with a terminal of its own: it is the
 * main program of a container (`docker run -t`), or a service. A person's shell is the parent of what a person starts.
 */
export function operatorOf({ stdout, ppid }: { stdout: Pick<NodeJS.WriteStream, 'isTTY' | 'write'>; ppid: number }) {
  return {
    print: (line: string) => void stdout.write(`${line}\n`),
    isPerson: stdout.isTTY === true && ppid > 1,
  } satisfies Operator
}

/** Tells where the first key is. Its text is shown to a person, once. */
export function tellFirstKey(firstKey: FirstKey, logger: Logger, { print, isPerson }: Operator): void {
  switch (firstKey.kind) {
    case 'made':
      if (isPerson) print(`API key (shown this once, and kept in ${firstKey.file}): ${firstKey.key}`)
      else print(`API key: in ${firstKey.file}, which only this user can read`)
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
