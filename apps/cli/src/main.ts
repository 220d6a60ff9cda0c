/** The `muster` command: reads the command line, calls one function, and turns what comes of it into an exit status. */
import { readFile } from 'node:fs/promises'
import { MusterError, type Problem } from '@muster/contract'
import { createLogger, loadDotEnv, parseConfig, runProcess } from '@muster/runtime'
import { z } from 'zod'
import { spelledField } from './checked-input.ts'
import type { Command, Form } from './cli.ts'
import { createClient, Refused } from './client.ts'
import { CliConfig, findServer } from './config.ts'
import { EXIT, exitStatusOfProblem } from './exit-status.ts'
import { readCommandLine } from './flags.ts'
import { commandHelp, OVERVIEW } from './help.ts'
import { hostsCommand, pingCommand, targetsCommand } from './host-commands.ts'
import { listenForInterrupts } from './interrupts.ts'
import {
  cancelCommand,
  concurrencyCommand,
  extendCommand,
  listJobsCommand,
  listRunsCommand,
  resumeCommand,
  showCommand,
  waitCommand,
} from './job-commands.ts'
import { outputCommand } from './output-command.ts'
import { ServerAway } from './patience.ts'
import { rerunCommand } from './rerun-command.ts'
import { runCommand } from './run-command.ts'
import { up } from './up.ts'

const COMMANDS: ReadonlyMap<string, Command> = new Map([
  ['run', runCommand],
  ['jobs', listJobsCommand],
  ['show', showCommand],
  ['runs', listRunsCommand],
  ['wait', waitCommand],
  ['output', outputCommand],
  ['cancel', cancelCommand],
  ['extend', extendCommand],
  ['concurrency', concurrencyCommand],
  ['resume', resumeCommand],
  ['rerun', rerunCommand],
  ['hosts', hostsCommand],
  ['targets', targetsCommand],
  ['ping', pingCommand],
])

const UP: Form = {
  flags: [],
  switches: [{ name: 'install', takesValue: false, description: 'Install Redis if it is missing.' }],
}

const env = { ...loadDotEnv('.env'), ...process.env }
const out = (text: string | Buffer) => void process.stdout.write(text)
const say = (line: string) => void process.stderr.write(`${line}\n`)

// A reader that has had enough, such as head, is no fault.
process.stdout.on('error', () => process.exit(0))

process.exitCode = await main(process.argv.slice(2)).catch(explain)

async function main([name = 'help', ...args]: string[]): Promise<number> {
  if (name === '--version') {
    const manifest = await readFile(new URL('../package.json', import.meta.url), 'utf8')
    out(`${z.object({ version: z.string() }).parse(JSON.parse(manifest)).version}\n`)
    return 0
  }
  const dashes = args.indexOf('--')
  const isHelp = name === 'help' || name === '--help'
  // Behind the dashes, --help is a word of the command that is to run.
  if (isHelp || args.slice(0, dashes === -1 ? undefined : dashes).includes('--help')) {
    out(helpOn(isHelp ? args[0] : name))
    return 0
  }
  if (name === 'up') return runUp(args)
  const command = COMMANDS.get(name)
  if (command === undefined) throw noSuchCommand(name)
  const line = readCommandLine(args, command.flags, command.switches)
  const interrupts = listenForInterrupts()
  const client = createClient(await findServer(parseConfig(CliConfig, env)))
  const isTerminal = process.stdout.isTTY === true
  try {
    return await command.act({ client, interrupts, out, isTerminal, say, stderr: process.stderr }, line)
  } catch (error) {
    if (interrupts.count() > 0) return EXIT.interrupted
    throw error
  } finally {
    interrupts.stop()
  }
}

function helpOn(name: string | undefined): string {
  if (name === undefined) return OVERVIEW
  const form = name === 'up' ? UP : COMMANDS.get(name)
  if (form === undefined) throw noSuchCommand(name)
  return commandHelp(name, form)
}

function noSuchCommand(name: string): MusterError {
  return new MusterError('invalid_request', `there is no command "${name}"; muster help lists them`)
}

async function runUp(args: readonly string[]): Promise<number> {
  const { switches } = readCommandLine(args, UP.flags, UP.switches)
  const config = parseConfig(CliConfig, env)
  const stopTimeoutMs = config.MUSTER_SHUTDOWN_GRACE_S * 1_000 + 20_000
  await runProcess({
    logger: createLogger({ name: 'up', level: 'warn', pretty: true }),
    exit: (status) => process.exit(status),
    graceMs: stopTimeoutMs + 20_000,
    start: (life) =>
      up({
        life,
        env,
        redisUrl: config.REDIS_URL,
        dataDir: config.MUSTER_DATA_DIR,
        workerProcesses: config.MUSTER_WORKER_PROCESSES,
        stopTimeoutMs,
        allowInstall: switches.has('install'),
        say: (line) => out(`${line}\n`),
      }),
  })
  return 0
}

function explain(error: unknown): number {
  if (error instanceof Refused) {
    const { code, next, nearest } = error.problem
    say(
      `muster: ${refusalText(error.problem)} (${code})${nearest === undefined || nearest.length === 0 ? '' : `; nearest: ${nearest.join(', ')}`}\n${next}`,
    )
    return exitStatusOfProblem(error.problem)
  }
  if (error instanceof ServerAway) {
    say(`muster: ${error.message}`)
    return EXIT.waitEnded
  }
  if (error instanceof MusterError) {
    say(`muster: ${error.message}`)
    return EXIT.usage
  }
  say(`muster: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
  return EXIT.usage
}

/** What was refused, with the flag at fault. Of a job, a host or a command the text says enough. */
function refusalText({ field, detail }: Problem): string {
  if (field === undefined || ['job_id', 'host', 'command', 'argv'].includes(field)) return detail
  return `${spelledField(field)}: ${detail.startsWith(`${field}: `) ? detail.slice(field.length + 2) : detail}`
}
