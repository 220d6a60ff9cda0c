/** `muster run`: submit, follow, show. */
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { type JobReport, MusterError, OPERATIONS, PAGE_LIMIT_BYTES, type Request } from '@muster/contract'
import { checkedInput } from './checked-input.ts'
import { type Cli, type Command, JSON_SWITCH, WAIT_SWITCH } from './cli.ts'
import { EXIT } from './exit-status.ts'
import { type CommandLine, flagsOf, type Switch } from './flags.ts'
import { followJob } from './follow-job.ts'
import { createPatience, PATIENCE_MS, ServerAway, untilAnswered } from './patience.ts'
import { gatheredText, noticesText, summaryLine } from './render.ts'

/** Fields that the command line says in another way: the words, files, and a wait of its own. */
export const SPELLED_OTHERWISE = ['command', 'argv', 'script', 'stdin', 'targets', 'wait_s'] as const

/** The flags that are fields of a job. */
export const RUN_FLAGS = flagsOf(OPERATIONS.submit_job.input, SPELLED_OTHERWISE)

/** The flags that are not. */
const RUN_SWITCHES: readonly Switch[] = [
  { name: 'script', takesValue: true, description: 'Run this script file; "-" reads it from stdin.' },
  { name: 'stdin', takesValue: true, description: 'Give the command this file as its stdin; "-" passes ours on.' },
  { name: 'detach', takesValue: false, description: 'Print the job ID and do not wait.' },
  WAIT_SWITCH,
  JSON_SWITCH,
]

/** How long a submit that got no answer is sent again. Nobody has seen a job yet, so a person is told soon. */
const SUBMIT_PATIENCE_MS = 10_000

/** `muster run`. */
export const runCommand: Command = {
  flags: RUN_FLAGS,
  switches: RUN_SWITCHES,
  act: async (cli, line) => {
    const targets = line.words.join(',')
    if (targets === '') throw new MusterError('invalid_request', 'no targets given: muster run <targets> -- <command>')
    const limitS = limitOf(line)
    const job = await submit(cli, line, { ...(await formOf(line)), targets })
    const isJson = line.switches.has('json')
    if (line.switches.has('detach')) {
      cli.out(isJson ? `${JSON.stringify(job)}\n` : `${job.job_id}\n`)
      return 0
    }
    cli.say(`${job.job_id} · ${job.total} ${job.total === 1 ? 'host' : 'hosts'}`)
    const followed = await followJob(cli, job, limitS)
    if (followed.status === EXIT.interrupted) return followed.status
    const advice = `Read what came of it with: muster output ${job.job_id}`
    // Who set a limit has waited that long already.
    const limitMs = followed.status === EXIT.waitEnded ? 0 : PATIENCE_MS
    const gathered = await untilAnswered(createPatience(cli, { limitMs, advice }), () =>
      cli.client.call('gather_output', { job_id: job.job_id, limit_bytes: PAGE_LIMIT_BYTES }),
    )
    if (isJson) cli.out(`${JSON.stringify({ job: followed.job, output: gathered })}\n`)
    else cli.out(gatheredText(gathered))
    cli.say(`${noticesText(followed.job)}${summaryLine(followed.job)}`)
    return followed.status
  },
}

/** Submits under an idempotency key, so that sending it again, by us or by the person, cannot run it twice. */
async function submit(cli: Cli, line: CommandLine, form: Record<string, unknown>): Promise<JobReport> {
  const input = checkedInput('submit_job', { idempotency_key: randomUUID(), ...line.fields, ...form })
  const advice = `Whether it was accepted is not known. Repeated with its key it cannot run twice:\n${repeatText(line, input)}`
  const patience = createPatience(cli, { limitMs: SUBMIT_PATIENCE_MS, advice })
  try {
    return await untilAnswered(patience, () => cli.client.call('submit_job', input))
  } catch (error) {
    if (error instanceof ServerAway) throw new MusterError('ledger_unavailable', error.message, { cause: error })
    if (cli.interrupts.count() > 0) cli.say(advice)
    throw error
  }
}

/** The same command line, with the key. Values of --env may be secret, so they are not shown. */
function repeatText({ args, fields }: CommandLine, { idempotency_key: key = '' }: Request<'submit_job'>): string {
  if (fields.env !== undefined) return `the same command line with --idempotency-key ${quoted(key)}`
  const given = fields.idempotency_key === undefined ? ['--idempotency-key', key, ...args] : args
  return ['muster', 'run', ...given].map(quoted).join(' ')
}

/** A word as a POSIX shell reads it. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

/** One word after `--` is a shell command line; several are a program and its arguments, passed exactly. */
async function formOf({ switches, afterDashes }: CommandLine): Promise<Record<string, unknown>> {
  const script = switches.get('script')
  const stdin = switches.get('stdin')
  const input = stdin === undefined ? {} : { stdin: await readText(String(stdin)) }
  if (script !== undefined) return { script: await readText(String(script)), ...input }
  const [first, ...more] = afterDashes ?? []
  if (first === undefined)
    throw new MusterError('invalid_request', 'no command given: muster run <targets> -- <command>')
  return more.length === 0 ? { command: first, ...input } : { argv: [first, ...more], ...input }
}

async function readText(file: string): Promise<string> {
  if (file === '-') return text(process.stdin)
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw new MusterError('invalid_request', `${file} cannot be read`, { cause: error })
  }
}

/**
 * The value of --wait-s, undefined when it is not given.
 * @throws {MusterError} invalid_request for anything but a number of seconds
 */
export function limitOf({ switches }: CommandLine): number | undefined {
  const value = switches.get('wait-s')
  if (value === undefined) return undefined
  if (/^\d+(\.\d+)?$/.test(String(value))) return Number(value)
  throw new MusterError('invalid_request', `--wait-s takes a number of seconds, not "${value}"`)
}
