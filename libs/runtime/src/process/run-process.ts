/**
 * The life of a process: start, wait for a reason to end, close everything, exit.
 *
 * Reasons to end: a signal, a parent that is gone (if started with an IPC channel), an uncaught error, or a part of the
 * process that reports its failure or the end of its work. It does not know what is started or closed.
 */
import { MusterError } from '@muster/contract'
import type { Logger } from '../log/logger.ts'
import { ChildFailed } from './child-process.ts'
import { Closers } from './closers.ts'
import { untilSignal } from './until-signal.ts'

/** What a starting process is given. */
export interface Life {
  /** Register the close of a resource here, on the line after opening it. */
  closers: Closers
  /** Aborted as soon as the process has a reason to end: stop waiting and start nothing new. */
  ending: AbortSignal
  /** Ends the process in order with exit status 1: a part that it needs has failed. */
  fail: (error: unknown) => void
  /** Ends the process in order with exit status 0: nobody needs it any more. `reason` is for the log. */
  finish: (reason: string) => void
}

/**
 * How long a worker may take to stop after draining, on top of the configured grace: it kills its runs, confirms that
 * they are dead, and lets go of them.
 */
export const AFTER_DRAIN_MS = 20_000

/** Options of {@link runProcess}. */
export interface RunProcessOptions {
  logger: Logger
  /** `process.exit`, passed in by `main.ts`. */
  exit: (status: number) => void
  /** How long closing everything may take; then the process exits with status 1. */
  graceMs: number
  /**
   * Opens what the process needs. What it returns is sent to the parent as the IPC message `{ ready: value }`, if
   * there is an IPC channel.
   */
  start: (life: Life) => Promise<unknown>
}

/** Exit status 0 after a requested end, 1 after a fault. */
type End = { status: 0 | 1; reason: string }

/**
 * Runs the process to its end and calls `exit`. The first SIGTERM or SIGINT closes in order; a second one exits at
 * once. An uncaught error is logged and ends the process in order too.
 */
export async function runProcess({ logger, exit, graceMs, start }: RunProcessOptions): Promise<void> {
  const closers = new Closers((line) => logger.error(line))
  const ending = new AbortController()
  const ended = new AbortController()

  const requested = new Promise<End>((resolve) => {
    const fail = (error: unknown): void => {
      if (ending.signal.aborted) logger.error({ err: error }, 'failed while closing')
      else if (error instanceof ChildFailed) logger.fatal(error.news)
      else if (isMistake(error)) logger.fatal({ code: error.code }, error.message)
      else logger.fatal({ err: error }, 'failed; closing')
      resolve({ status: 1, reason: 'a fault' })
    }
    const onSecond = (signal: string, status: number): void => {
      logger.warn(`second ${signal}: exiting at once`)
      exit(status)
    }
    untilSignal({ onSecond, abort: ended.signal }).then(
      (signal) => resolve({ status: 0, reason: signal }),
      () => undefined, // The process ended for another reason.
    )
    process.on('uncaughtException', fail)
    process.on('unhandledRejection', fail)
    // The parent is gone without stopping us, and no other process would.
    process.once('disconnect', () => resolve({ status: 0, reason: 'the parent process is gone' }))
    ended.signal.addEventListener('abort', () => {
      process.off('uncaughtException', fail)
      process.off('unhandledRejection', fail)
    })
    start({ closers, ending: ending.signal, fail, finish: (reason) => resolve({ status: 0, reason }) }).then(
      (value) => announceReady(value),
      (error: unknown) => {
        // An interrupted start is not another fault.
        if (!ending.signal.aborted) fail(error)
      },
    )
  })

  const end = await requested
  ending.abort(new Error(`The process is ending: ${end.reason}.`))
  logger.info(`closing: ${end.reason}`)
  const status = await closeWithin(closers, graceMs, logger)
  ended.abort()
  logger.info('closed')
  exit(Math.max(status, end.status))
}

/** A mistake of the person who started the process: its text says all, and a stack would only bury it. */
function isMistake(error: unknown): error is MusterError {
  return error instanceof MusterError && error.code !== 'internal'
}

async function closeWithin(closers: Closers, graceMs: number, logger: Logger): Promise<0 | 1> {
  let timer: NodeJS.Timeout | undefined
  const overdue = new Promise<1>((resolve) => {
    timer = setTimeout(() => {
      logger.error(`closing took longer than ${graceMs} ms; exiting without the rest`)
      resolve(1)
    }, graceMs)
  })
  const closed = closers.close().then(
    () => 0 as const,
    () => 1 as const, // Closers has logged every failure.
  )
  const status = await Promise.race([closed, overdue])
  clearTimeout(timer)
  return status
}

function announceReady(value: unknown): void {
  // Without a parent that listens there is no `send`; `disconnect` reports a parent that has left meanwhile.
  process.send?.({ ready: value ?? null }, undefined, undefined, () => undefined)
}
