/** What `muster run` and `muster rerun` share: they submit a job once, follow it to its end and show its output. */
import { type JobReport, MusterError, PAGE_LIMIT_BYTES, shellWord, visibleJson } from '@muster/contract'
import { type Cli, JSON_SWITCH, WAIT_SWITCH } from '../line/command.ts'
import { EXIT } from '../line/exit-status.ts'
import { type CommandLine, type Switch, secondsOf } from '../line/flags.ts'
import { createPatience, PATIENCE_MS, ServerAway, untilAnswered } from '../line/patience.ts'
import { acceptedLine, noticesText, summaryLine } from '../render/render-job.ts'
import { gatheredText } from '../render/render-output.ts'
import { followJob, isUnreadable } from './follow-job.ts'

/** The switches of both commands. */
export const END_SWITCHES: readonly Switch[] = [
  { name: 'detach', takesValue: false, description: 'Print the job ID and do not wait.' },
  WAIT_SWITCH,
  JSON_SWITCH,
]

/** How long to repeat a request that gets no answer. There is no job to show yet, so the person hears of it soon. */
const SEND_PATIENCE_MS = 10_000

/** A request that makes a job. It has an idempotency key, so sending it again runs nothing twice. */
export type Sending = {
  readonly send: () => Promise<JobReport>
  /** The name of the command, for the line that repeats it. */
  readonly command: string
  readonly key: string
}

/**
 * Sends the request, follows the job to its end, shows its output and returns the exit status.
 * @throws {MusterError} invalid_request for switches that contradict each other; ledger_unavailable when nobody knows
 *   whether the job was accepted
 */
export async function runToEnd(cli: Cli, line: CommandLine, sending: Sending): Promise<number> {
  const limitS = secondsOf(line, 'wait-s')
  if (limitS !== undefined && line.switches.has('detach')) {
    throw new MusterError('invalid_request', '--detach does not wait, so --wait-s cannot be given with it')
  }
  const job = await sent(cli, line, sending)
  const isJson = line.switches.has('json')
  if (line.switches.has('detach')) {
    cli.out(isJson ? `${visibleJson(job)}\n` : `${job.job_id}\n`)
    return 0
  }
  cli.say(acceptedLine(job))
  const followed = await followJob(cli, job, limitS)
  if (followed.status === EXIT.interrupted) return followed.status
  const advice = `Read its output with: muster output ${job.job_id}`
  // A person who set a limit has waited that long already.
  const limitMs = followed.status === EXIT.waitEnded ? 0 : PATIENCE_MS
  const gathered = await untilAnswered(createPatience(cli, { limitMs, advice }), () =>
    cli.client.call('gather_output', { job_id: job.job_id, limit_bytes: PAGE_LIMIT_BYTES }),
  ).catch(nullIfUnreadable)
  if (isJson) cli.out(`${visibleJson({ job: followed.job, output: gathered })}\n`)
  else if (gathered !== null) cli.out(gatheredText(gathered))
  if (gathered === null) cli.say('The API key may not read the output of jobs (jobs:read:output).')
  cli.say(`${noticesText(followed.job)}${summaryLine(followed.job)}`)
  return followed.status
}

/** A key that runs commands need not read what they print: how the job ended is known all the same. */
function nullIfUnreadable(error: unknown): null {
  if (isUnreadable(error)) return null
  throw error
}

async function sent(cli: Cli, line: CommandLine, { send, command, key }: Sending): Promise<JobReport> {
  const repeat = repeatText(command, line, key)
  const advice = `It is not known whether the job was accepted. Repeated with its key it cannot run twice:\n${repeat}`
  const patience = createPatience(cli, { limitMs: SEND_PATIENCE_MS, advice })
  try {
    return await untilAnswered(patience, send)
  } catch (error) {
    if (error instanceof ServerAway) throw new MusterError('ledger_unavailable', error.message, { cause: error })
    if (cli.interrupts.count() > 0) cli.say(advice)
    throw error
  }
}

/** The same command line with the key. Values of --env may be secret, so it is not spelled out then. */
function repeatText(command: string, { args, fields }: CommandLine, key: string): string {
  if (fields.env !== undefined) return `the same command line with --idempotency-key ${shellWord(key)}`
  const given = fields.idempotency_key === undefined ? ['--idempotency-key', key, ...args] : args
  return ['muster', command, ...given].map(shellWord).join(' ')
}
