/** `muster run`: submit, follow, show. */
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { MusterError, OPERATIONS, PAGE_LIMIT_BYTES } from '@muster/contract'
import type { Cli } from './cli.ts'
import { checkedInput } from './cli.ts'
import { EXIT } from './exit-status.ts'
import { type CommandLine, flagsOf, readCommandLine, type Switch } from './flags.ts'
import { followJob } from './follow-job.ts'
import { createProgress } from './progress.ts'
import { gatheredText, summaryLine } from './render.ts'

/** Fields that the command line says in another way: the words, files, and a wait of its own. */
export const SPELLED_OTHERWISE = ['command', 'argv', 'script', 'stdin', 'targets', 'wait_s'] as const

/** The flags that are fields of a job. */
export const RUN_FLAGS = flagsOf(OPERATIONS.submit_job.input, SPELLED_OTHERWISE)

/** The flags that are not. */
export const RUN_SWITCHES: readonly Switch[] = [
  { name: 'script', takesValue: true, description: 'Run this script file; "-" reads it from stdin.' },
  { name: 'stdin', takesValue: true, description: 'Give the command this file as its stdin; "-" passes ours on.' },
  { name: 'detach', takesValue: false, description: 'Print the job ID and do not wait.' },
  { name: 'wait-s', takesValue: true, description: 'Stop waiting after so many seconds (exit 124); the job goes on.' },
  { name: 'json', takesValue: false, description: 'Print the answer as JSON.' },
]

/** Runs it; answers the exit status. */
export async function runCommand(cli: Cli, args: readonly string[]): Promise<number> {
  const line = readCommandLine(args, RUN_FLAGS, RUN_SWITCHES)
  const targets = line.words.join(',')
  if (targets === '') throw new MusterError('invalid_request', 'no targets given: muster run <targets> -- <command>')
  const form = await formOf(line)
  const given = { idempotency_key: randomUUID(), ...line.fields, ...form, targets }
  const job = await cli.client.call('submit_job', checkedInput('submit_job', given))
  if (line.switches.has('detach')) {
    cli.out(line.switches.has('json') ? `${JSON.stringify(job)}\n` : `${job.job_id}\n`)
    return 0
  }
  cli.say(`${job.job_id} · ${job.total} ${job.total === 1 ? 'host' : 'hosts'}`)
  const limit = line.switches.get('wait-s')
  const followed = await followJob(cli.client, job, {
    limitS: limit === undefined ? undefined : secondsOf(String(limit)),
    progress: createProgress(cli.stderr),
    interrupts: cli.interrupts,
    say: cli.say,
  })
  if (followed.status === EXIT.interrupted) return followed.status
  const gathered = await cli.client.call('gather_output', { job_id: job.job_id, limit_bytes: PAGE_LIMIT_BYTES })
  if (line.switches.has('json')) cli.out(`${JSON.stringify({ job: followed.job, output: gathered })}\n`)
  else cli.out(gatheredText(gathered))
  cli.say(summaryLine(followed.job))
  return followed.status
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

/** @throws {MusterError} invalid_request for anything but a number of seconds */
export function secondsOf(value: string): number {
  if (/^\d+(\.\d+)?$/.test(value)) return Number(value)
  throw new MusterError('invalid_request', `--wait-s takes a number of seconds, not "${value}"`)
}
