/**
 * `muster output JOB HOST --follow`: what a host prints, as it arrives, until its run ends. After a broken connection
 * it goes on at the same byte. When the command was started again, it reads the output from the beginning, whatever it
 * has shown before.
 */
import {
  escapeControl,
  type JobEvent,
  MusterError,
  type OutputPage,
  type Request,
  type Run,
  visibleJson,
} from '@muster/contract'
import { checkedInput } from '../line/checked-input.ts'
import type { Cli } from '../line/command.ts'
import { exitStatusOfRun } from '../line/exit-status.ts'
import { createPatience, PATIENCE_MS } from '../line/patience.ts'
import { runLine } from '../render/render-runs.ts'

/** Follows to the end and returns the exit status. With JSON every line is an event, the last one the `end`. */
export async function followOutput(cli: Cli, query: Record<string, unknown>, isJson: boolean): Promise<number> {
  const input: Request<'follow_job'> = checkedInput('follow_job', query)
  // A missing server or run is reported at once; only a server that has answered before is worth waiting for.
  const { job_id, host } = query
  await cli.client.call('get_run', checkedInput('get_run', { job_id, host }))
  const advice = `The job goes on; follow it again with: muster output ${job_id} ${host} --follow`
  const patience = createPatience(cli, { limitMs: PATIENCE_MS, advice })
  const position: Position = { offset: 0, startedAt: null }
  for (;;) {
    try {
      const end = await followOnce(cli, { input, position, isJson }, patience.answered)
      if (end !== undefined) return ended(cli, end, isJson)
    } catch (error) {
      await patience.endure(error)
    }
  }
}

/** The offset of the next byte to read, and the start of the command that it belongs to. */
type Position = { offset: number; startedAt: string | null }

/**
 * Follows over one connection and moves `position` on. Returns the run when it has ended; undefined when the command
 * was started again and has to be read from its beginning.
 * @throws {MusterError} ledger_unavailable when the connection broke
 */
async function followOnce(
  cli: Cli,
  { input, position, isJson }: { input: Request<'follow_job'>; position: Position; isJson: boolean },
  onHeard: () => void,
): Promise<Run | undefined> {
  const events = cli.client.follow({ ...input, offset: position.offset }, cli.interrupts.signal(), onHeard)
  for await (const event of events) {
    const startedAt = event.data.started_at
    const isAnotherStart = position.startedAt !== null && startedAt !== null && startedAt !== position.startedAt
    if (isAnotherStart) {
      cli.say('[the command was started again]')
      position.startedAt = startedAt
      const isFromBeginning = event.event === 'output' && event.data.offset === 0
      if (!isFromBeginning && position.offset > 0) {
        position.offset = 0
        return undefined
      }
    }
    if (event.event === 'end' && 'host' in event.data) return event.data
    if (event.event !== 'output') continue
    position.startedAt = startedAt
    position.offset = event.data.next_offset
    print(cli, event, isJson)
  }
  throw new MusterError('ledger_unavailable', 'the stream broke off')
}

function print(cli: Cli, event: Extract<JobEvent, { event: 'output' }>, isJson: boolean): void {
  if (isJson) cli.out(`${visibleJson(event)}\n`)
  else printPage(cli, event.data)
}

/** Prints a page: text with control characters escaped, as asked for on a terminal; elsewhere the bytes as they are. */
export function printPage(cli: Cli, page: OutputPage): void {
  if (page.omitted_bytes > 0) cli.say(`[${page.omitted_bytes} bytes were not kept]`)
  cli.out(page.encoding === 'utf8' ? escapeControl(page.data) : Buffer.from(page.data, 'base64'))
}

function ended(cli: Cli, run: Run, isJson: boolean): number {
  if (isJson) cli.out(`${visibleJson({ event: 'end', data: run } satisfies JobEvent)}\n`)
  if (run.state !== 'succeeded') cli.say(runLine(run))
  return exitStatusOfRun(run.state)
}
