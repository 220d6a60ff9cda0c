/** The embedded stack inside its own process: its options from the environment, and its message to `muster mcp`. */
import { DataDirInUse, type Environment, parseConfig } from '@muster/runtime'
import { z } from 'zod'
import { CliConfig } from '../client/config.ts'
import { type StackOptions, startStack } from './embedded-stack.ts'
import { partStopMs, type StackStart, stackGraceMs } from './stack-process.ts'

/**
 * The options of the stack, and how long all of it may take to stop.
 * @throws {MusterError} invalid_config
 */
export function stackOptions(
  env: Environment,
  allowInstall: boolean,
): Omit<StackOptions, 'life' | 'say'> & { readonly graceMs: number } {
  const config = parseConfig(CliConfig, env)
  return {
    env,
    allowInstall,
    redisUrl: config.REDIS_URL,
    sshServers: config.SSH_SERVERS,
    dataDir: config.MUSTER_DATA_DIR,
    workerProcesses: config.MUSTER_WORKER_PROCESSES,
    stopTimeoutMs: partStopMs(config),
    graceMs: stackGraceMs(config),
  }
}

/** Starts the stack. A failure is a value; the parent process then ends this one. */
export async function tellStart(options: StackOptions): Promise<StackStart> {
  try {
    const { url } = await startStack(options)
    return { kind: 'up', url }
  } catch (error) {
    options.life.ending.throwIfAborted()
    return { kind: 'refused', text: reasonText(error), isInUse: error instanceof DataDirInUse }
  }
}

const LogLine = z.object({ msg: z.string(), err: z.object({ message: z.string() }).optional() })

/** The text of an error; log lines of a child process in it are made readable. */
function reasonText(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.replaceAll(/^ *\{.*"msg":.*\}$/gm, (line) => `  ${logText(line)}`)
}

function logText(line: string): string {
  try {
    const { msg, err } = LogLine.parse(JSON.parse(line))
    return err === undefined ? msg : `${msg}: ${err.message}`
  } catch {
    // Cut short, or no log line: leave it as it is.
    return line.trim()
  }
}
