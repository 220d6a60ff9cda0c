/** `muster run`: turns the words, files and flags of a command line into a job. */
import { randomUUID } from 'node:crypto'
import { fstat } from 'node:fs'
import { promisify } from 'node:util'
import { MusterError, OPERATIONS } from '@muster/contract'
import { checkedAsGiven } from '../line/checked-input.ts'
import type { Cli, ServerCommand } from '../line/command.ts'
import { CONNECT_SWITCHES, connectOf } from '../line/connect-flags.ts'
import { type CommandLine, flagsOf, type Switch, secondsOf } from '../line/flags.ts'
import { readInputFile } from '../line/input-file.ts'
import { SECRET_FIELDS, SECRET_FLAG, SECRET_SWITCHES, secretsFrom, stdinUsers } from '../line/secret-input.ts'
import { END_SWITCHES, runToEnd } from './run-to-end.ts'

/** Fields without a flag of the same name: words, files, secrets, those with flags in parts, a wait of our own. */
export const SPELLED_OTHERWISE = [
  'command',
  'argv',
  'script',
  'script_args',
  'stdin',
  'targets',
  'health_check',
  'connect',
  'wait_s',
  ...SECRET_FIELDS,
] as const

/** The flags that are fields of a job. */
export const RUN_FLAGS = [...flagsOf(OPERATIONS.submit_job.input, SPELLED_OTHERWISE), SECRET_FLAG]

/** The flags that are no fields of a job. */
const RUN_SWITCHES: readonly Switch[] = [
  {
    name: 'script',
    takesValue: true,
    description: 'Run this script file, with the words after -- as its arguments; "-" reads it from stdin.',
  },
  {
    name: 'stdin',
    takesValue: true,
    description: 'Pass this file to the command or script as its stdin; "-" passes on our own. Default: empty.',
  },
  {
    name: 'health-check',
    takesValue: true,
    description: 'Run this on each host after the command has succeeded there; if it fails, the host has failed.',
  },
  { name: 'health-check-timeout-s', takesValue: true, description: 'Limit for the health check. Default: 30.' },
  ...SECRET_SWITCHES,
  ...CONNECT_SWITCHES,
  ...END_SWITCHES,
]

/** `muster run`. */
export const runCommand: ServerCommand = {
  flags: RUN_FLAGS,
  switches: RUN_SWITCHES,
  takesCommand: true,
  act: async (cli, line) => {
    const targets = line.words.join(',')
    if (targets === '') throw new MusterError('invalid_request', 'no targets given: muster run <targets> -- <command>')
    const key = String(line.fields.idempotency_key ?? randomUUID())
    const form = await formOf(cli, line)
    const { connect: login, ...secrets } = await secretsFrom(cli, line)
    const given = {
      ...line.fields,
      ...form,
      ...secrets,
      ...healthCheckOf(line),
      ...connectOf(line, login),
      targets,
      idempotency_key: key,
    }
    const input = checkedAsGiven('submit_job', given)
    return runToEnd(cli, line, { send: () => cli.client.call('submit_job', input), command: 'run', key })
  },
}

/**
 * The fields that say what runs and what it reads. With a script, the words after `--` are its arguments. Otherwise one
 * word is a shell command line, and several are a program and its arguments, passed exactly.
 */
async function formOf(cli: Cli, line: CommandLine): Promise<Record<string, unknown>> {
  const { switches, afterDashes = [] } = line
  const [script, stdin] = [switches.get('script'), switches.get('stdin')]
  if (script === '-' && stdin === '-') {
    throw new MusterError('invalid_request', '--script and --stdin cannot both be "-": there is one stdin')
  }
  if (script === undefined && afterDashes.length === 0) {
    throw new MusterError('invalid_request', 'no command given: muster run <targets> -- <command>')
  }
  if (stdin === undefined && stdinUsers(line, cli).length === 0 && (await isGivenStdin())) {
    cli.say('[stdin is not passed on; use --stdin - for that]')
  }
  const input = stdin === undefined ? {} : { stdin: await readInputFile({ flag: 'stdin', file: String(stdin) }) }
  if (script !== undefined) {
    const args = afterDashes.length === 0 ? {} : { script_args: afterDashes }
    return { script: await readInputFile({ flag: 'script', file: String(script) }), ...args, ...input }
  }
  const [command, ...more] = afterDashes
  return more.length === 0 ? { command, ...input } : { argv: afterDashes, ...input }
}

/** Whether our stdin is a pipe or a file that is not empty, which a person may mean for the command. */
async function isGivenStdin(): Promise<boolean> {
  const given = await promisify(fstat)(process.stdin.fd).catch(() => undefined)
  return given !== undefined && (given.isFIFO() || (given.isFile() && given.size > 0))
}

function healthCheckOf(line: CommandLine): Record<string, unknown> {
  const command = line.switches.get('health-check')
  const timeout_s = secondsOf(line, 'health-check-timeout-s')
  return command === undefined && timeout_s === undefined ? {} : { health_check: { command, timeout_s } }
}
