/** The `muster` command: finds the command that the first word names, reads its flags, and runs it. */
import { readFile } from 'node:fs/promises'
import { escapeControl, MusterError } from '@muster/contract'
import { z } from 'zod'
import { commandHelp, OVERVIEW } from './commands/help.ts'
import { hostsCommand, pingCommand, targetsCommand } from './commands/host-commands.ts'
import {
  cancelCommand,
  concurrencyCommand,
  extendCommand,
  listJobsCommand,
  listRunsCommand,
  resumeCommand,
  showCommand,
  waitCommand,
} from './commands/job-commands.ts'
import { keysCommand } from './commands/keys-command.ts'
import {
  loginCommand,
  logoutCommand,
  serverKeysCommand,
  trustCommand,
  workerKeysCommand,
} from './commands/local-commands.ts'
import { onServer } from './commands/on-server.ts'
import { outputCommand } from './commands/output-command.ts'
import { rerunCommand } from './commands/rerun-command.ts'
import { runCommand } from './commands/run-command.ts'
import { mcpCommand, mcpStackCommand, upCommand } from './commands/stack-commands.ts'
import { askSecret } from './line/ask-secret.ts'
import type { Command, Program } from './line/command.ts'
import { failureOf } from './line/failure.ts'
import { type CommandLine, readCommandLine } from './line/flags.ts'
import { STACK_COMMAND } from './stack/stack-process.ts'

const COMMANDS: ReadonlyMap<string, Command> = new Map([
  ['run', onServer(runCommand)],
  ['jobs', onServer(listJobsCommand)],
  ['show', onServer(showCommand)],
  ['runs', onServer(listRunsCommand)],
  ['wait', onServer(waitCommand)],
  ['output', onServer(outputCommand)],
  ['cancel', onServer(cancelCommand)],
  ['extend', onServer(extendCommand)],
  ['concurrency', onServer(concurrencyCommand)],
  ['resume', onServer(resumeCommand)],
  ['rerun', onServer(rerunCommand)],
  ['hosts', onServer(hostsCommand)],
  ['targets', onServer(targetsCommand)],
  ['ping', onServer(pingCommand)],
  ['keys', onServer(keysCommand)],
  ['login', loginCommand],
  ['logout', logoutCommand],
  ['worker-keys', workerKeysCommand],
  ['server-keys', serverKeysCommand],
  ['trust', trustCommand],
  ['up', upCommand],
  ['mcp', mcpCommand],
  [STACK_COMMAND, mcpStackCommand],
])

const { env, stdin, stdout, stderr } = process

const program: Program = {
  env,
  out: (text) => void stdout.write(text),
  // Messages may quote a host, a server or another person.
  say: (line) => void stderr.write(`${escapeControl(line)}\n`),
  stderr,
  isTerminal: stdout.isTTY === true,
  hasTerminal: stdin.isTTY === true,
  askSecret: (question) => askSecret(stdin, (text) => void stderr.write(text), question),
  exit: (status) => process.exit(status),
}

// A reader that stops early, such as head, is no fault. The reader of mcp is the client, and the stack must stop first.
if (process.argv[2] !== 'mcp') stdout.on('error', () => process.exit(0))

process.exitCode = await main(process.argv.slice(2)).catch(explain)

async function main([name = 'help', ...args]: string[]): Promise<number> {
  if (name === '--version') {
    const manifest = await readFile(new URL('../package.json', import.meta.url), 'utf8')
    program.out(`${z.object({ version: z.string() }).parse(JSON.parse(manifest)).version}\n`)
    return 0
  }
  const dashes = args.indexOf('--')
  const isHelp = name === 'help' || name === '--help'
  // After `--`, --help belongs to the command to run.
  if (isHelp || args.slice(0, dashes === -1 ? undefined : dashes).includes('--help')) {
    program.out(helpOn(isHelp ? args[0] : name))
    return 0
  }
  const command = commandOf(name)
  const line = readCommandLine(args, command.flags, [...command.switches, ...command.unlisted])
  if (command.takesCommand !== true) refuseCommand(name, line)
  return await command.run(program, line)
}

function helpOn(name: string | undefined): string {
  return name === undefined ? OVERVIEW : commandHelp(name, commandOf(name))
}

function commandOf(name: string): Command {
  const command = COMMANDS.get(name)
  if (command !== undefined) return command
  throw new MusterError('invalid_request', `there is no command "${name}"; muster help lists them`)
}

/** Refuses words after `--` for a command that runs nothing: they are a mistake, and may have been meant as hosts. */
function refuseCommand(name: string, { afterDashes }: CommandLine): void {
  if (afterDashes === undefined) return
  throw new MusterError('invalid_request', `muster ${name} runs no command, so nothing can follow --`)
}

function explain(error: unknown): number {
  const { text, status } = failureOf(error)
  program.say(`muster: ${text}`)
  return status
}
