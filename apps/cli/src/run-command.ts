/** `muster run`: what to run on which hosts, from the words, files and flags of a command line. */
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { MusterError, OPERATIONS } from '@muster/contract'
import { checkedInput } from './checked-input.ts'
import type { Command } from './cli.ts'
import { type CommandLine, flagsOf, type Switch, secondsOf } from './flags.ts'
import { END_SWITCHES, runToEnd } from './run-to-end.ts'

/** Fields that the command line says in another way: words, files, a health check in two parts, a wait of its own. */
export const SPELLED_OTHERWISE = ['command', 'argv', 'script', 'stdin', 'targets', 'health_check', 'wait_s'] as const

/** The flags that are fields of a job. */
export const RUN_FLAGS = flagsOf(OPERATIONS.submit_job.input, SPELLED_OTHERWISE)

/** The flags that are not. */
const RUN_SWITCHES: readonly Switch[] = [
  { name: 'script', takesValue: true, description: 'Run this script file; "-" reads it from stdin.' },
  { name: 'stdin', takesValue: true, description: 'Give the command this file as its stdin; "-" passes ours on.' },
  {
    name: 'health-check',
    takesValue: true,
    description: 'Run this on each host after the command succeeded there; when it fails, the host has failed.',
  },
  { name: 'health-check-timeout-s', takesValue: true, description: 'Limit for the health check. Usual: 30.' },
  ...END_SWITCHES,
]

/** `muster run`. */
export const runCommand: Command = {
  flags: RUN_FLAGS,
  switches: RUN_SWITCHES,
  act: async (cli, line) => {
    const targets = line.words.join(',')
    if (targets === '') throw new MusterError('invalid_request', 'no targets given: muster run <targets> -- <command>')
    const key = String(line.fields.idempotency_key ?? randomUUID())
    const given = { ...line.fields, ...(await formOf(line)), ...healthCheckOf(line), targets, idempotency_key: key }
    const input = checkedInput('submit_job', given)
    return runToEnd(cli, line, { send: () => cli.client.call('submit_job', input), command: 'run', key })
  },
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

function healthCheckOf(line: CommandLine): Record<string, unknown> {
  const command = line.switches.get('health-check')
  const timeout_s = secondsOf(line, 'health-check-timeout-s')
  return command === undefined && timeout_s === undefined ? {} : { health_check: { command, timeout_s } }
}

async function readText(file: string): Promise<string> {
  if (file === '-') return text(process.stdin)
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw new MusterError('invalid_request', `${file} cannot be read`, { cause: error })
  }
}
