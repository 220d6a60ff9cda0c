/** The `muster` command: reads the command line, calls one function and turns its result into an exit status. */
import { readFile } from 'node:fs/promises'
import { escapeControl, escapeLine, MusterError, type Problem } from '@muster/contract'
import {
  createLogger,
  leaveWorkingDirectory,
  readSettings,
  runProcess,
  type Settings,
  type SettingsRequest,
  workingDirectory,
} from '@muster/runtime'
import { z } from 'zod'
import { createClient, Refused } from './client/client.ts'
import { findServer } from './client/find-server.ts'
import { trustAuthority } from './client/trust.ts'
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
import { LOGIN, LOGOUT, login, logout } from './commands/login.ts'
import { outputCommand } from './commands/output-command.ts'
import { rerunCommand } from './commands/rerun-command.ts'
import { runCommand } from './commands/run-command.ts'
import { TRUST, trust } from './commands/trust-command.ts'
import { WORKER_KEYS, workerKeys } from './commands/worker-keys.ts'
import { type AskLine, withAnswers } from './host-keys/ask-lines.ts'
import { askSecret } from './line/ask-secret.ts'
import { spelledField } from './line/checked-input.ts'
import { type Command, ENV_FILE_SWITCH, type Form, SERVER_SWITCH } from './line/command.ts'
import { EXIT, exitStatusOfProblem } from './line/exit-status.ts'
import { type CommandLine, readCommandLine } from './line/flags.ts'
import { listenForInterrupts } from './line/interrupts.ts'
import { ServerAway } from './line/patience.ts'
import { readOwnFolder } from './stack/own-folder.ts'
import { STACK_COMMAND } from './stack/stack-process.ts'
import { stackOptions, tellStart } from './stack/stack-start.ts'
import { up } from './stack/up.ts'

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
  ['keys', keysCommand],
])

/** The flags of every command that brings up the stack. */
const STACK: Form = {
  flags: [],
  switches: [
    { name: 'install', takesValue: false, description: 'Install Redis if it is missing.' },
    { name: 'inventory', takesValue: true, description: 'The file with hosts and groups.' },
    ENV_FILE_SWITCH,
  ],
}

const MCP: Form = { flags: [], switches: [...STACK.switches, SERVER_SWITCH] }

/** The flags of the commands that do more, or less, than talk to a server. */
const OTHER_FORMS: ReadonlyMap<string, Form> = new Map([
  ['up', STACK],
  ['mcp', MCP],
  ['login', LOGIN],
  ['logout', LOGOUT],
  ['worker-keys', WORKER_KEYS],
  ['trust', TRUST],
])

/** Every part has its own limit, far below this one. */
const MCP_GRACE_MS = 2 * 3_600_000

const out = (text: string | Buffer) => void process.stdout.write(text)
// Messages may quote a host, a server or another person.
const say = (line: string) => void process.stderr.write(`${escapeControl(line)}\n`)
const asked = (question: string) => askSecret(process.stdin, (text) => void process.stderr.write(text), question)

// A reader that stops early, such as head, is no fault. The reader of mcp is the client, and the stack must stop first.
if (process.argv[2] !== 'mcp') process.stdout.on('error', () => process.exit(0))

process.exitCode = await main(process.argv.slice(2)).catch(explain)

async function main([name = 'help', ...args]: string[]): Promise<number> {
  if (name === '--version') {
    const manifest = await readFile(new URL('../package.json', import.meta.url), 'utf8')
    out(`${z.object({ version: z.string() }).parse(JSON.parse(manifest)).version}\n`)
    return 0
  }
  const dashes = args.indexOf('--')
  const isHelp = name === 'help' || name === '--help'
  // After `--`, --help belongs to the command to run.
  if (isHelp || args.slice(0, dashes === -1 ? undefined : dashes).includes('--help')) {
    out(helpOn(isHelp ? args[0] : name))
    return 0
  }
  if (name === 'up') return runUp(args)
  if (name === 'mcp') return runMcp(args)
  if (name === STACK_COMMAND) return runStack(args)
  if (name === 'login' || name === 'logout') return runLogin(name, args)
  if (name === 'worker-keys') return runWorkerKeys(args)
  if (name === 'trust') return runTrust(args)
  const command = COMMANDS.get(name)
  if (command === undefined) throw noSuchCommand(name)
  const line = readCommandLine(args, command.flags, [...command.switches, SERVER_SWITCH, ENV_FILE_SWITCH])
  if (command.takesCommand !== true) refuseCommand(name, line)
  const interrupts = listenForInterrupts()
  const client = createClient(await findServer(await settingsOf(line), textOf(line, 'server')))
  const isTerminal = process.stdout.isTTY === true
  try {
    const asking = {
      hasTerminal: process.stdin.isTTY === true,
      askSecret: asked,
      variable: (of: string) => process.env[of],
    }
    return await command.act({ client, interrupts, out, isTerminal, say, stderr: process.stderr, ...asking }, line)
  } catch (error) {
    if (interrupts.count() > 0) return EXIT.interrupted
    throw error
  } finally {
    interrupts.stop()
  }
}

/** The settings for a command line; what there is to tell about them goes to stderr. */
async function settingsOf(line: CommandLine, own: Partial<SettingsRequest> = {}): Promise<Settings> {
  const settings = await readSettings({ ...requestOf(line), cwd: workingDirectory(), ...own })
  for (const note of settings.notes) say(note)
  if (settings.env.MUSTER_CA_FILE) await trustAuthority(settings.env.MUSTER_CA_FILE)
  return settings
}

function requestOf(line: CommandLine): SettingsRequest {
  return { env: process.env, envFile: textOf(line, 'env-file'), inventory: textOf(line, 'inventory') }
}

/** What the working directory sets for `muster up` on a terminal; its first line says so. */
async function ownFolder(line: CommandLine, print: (text: string) => void): Promise<SettingsRequest['lowest']> {
  const cwd = workingDirectory()
  if (cwd === undefined) return {}
  const folder = await readOwnFolder(cwd, await readSettings(requestOf(line)))
  if (folder.line !== undefined) print(folder.line)
  for (const note of folder.notes) say(note)
  return folder.values
}

function textOf({ switches }: CommandLine, name: string): string | undefined {
  const value = switches.get(name)
  return value === true ? undefined : value
}

async function runLogin(name: 'login' | 'logout', args: readonly string[]): Promise<number> {
  const [act, form] = name === 'login' ? [login, LOGIN] : [logout, LOGOUT]
  const line = readCommandLine(args, form.flags, [...form.switches, ENV_FILE_SWITCH])
  refuseCommand(name, line)
  return await act(line, { settings: await settingsOf(line), askSecret: asked, say })
}

async function runWorkerKeys(args: readonly string[]): Promise<number> {
  const line = readCommandLine(args, WORKER_KEYS.flags, [...WORKER_KEYS.switches, ENV_FILE_SWITCH])
  refuseCommand('worker-keys', line)
  return await workerKeys(line, { settings: await settingsOf(line), out, say })
}

async function runTrust(args: readonly string[]): Promise<number> {
  const line = readCommandLine(args, TRUST.flags, TRUST.switches)
  refuseCommand('trust', line)
  const { stdin, stderr, env } = process
  const onTerminal = <T>(use: (ask: AskLine) => Promise<T>) => withAnswers(stdin, (text) => stderr.write(text), use)
  const asking = stdin.isTTY === true ? onTerminal : undefined
  return await trust(line, { settings: await settingsOf(line), env, out, say, withAnswers: asking })
}

function helpOn(name: string | undefined): string {
  if (name === undefined) return OVERVIEW
  const form = OTHER_FORMS.get(name) ?? COMMANDS.get(name)
  if (form === undefined) throw noSuchCommand(name)
  return commandHelp(name, form)
}

function noSuchCommand(name: string): MusterError {
  return new MusterError('invalid_request', `there is no command "${name}"; muster help lists them`)
}

/** Refuses words after `--` for a command that runs nothing: they are a mistake, and may have been meant as hosts. */
function refuseCommand(name: string, { afterDashes }: CommandLine): void {
  if (afterDashes === undefined) return
  throw new MusterError('invalid_request', `muster ${name} runs no command, so nothing can follow --`)
}

function readStackLine(name: string, args: readonly string[]): CommandLine {
  const { flags, switches } = OTHER_FORMS.get(name) ?? STACK
  const line = readCommandLine(args, flags, switches)
  refuseCommand(name, line)
  const [word] = line.words
  if (word === undefined) return line
  throw new MusterError('invalid_request', `muster ${name} takes no words; given "${word}"`)
}

async function runUp(args: readonly string[]): Promise<number> {
  const line = readStackLine('up', args)
  const print = (text: string) => out(`${text}\n`)
  const isPerson = process.stdin.isTTY === true && process.stdout.isTTY === true
  const { env } = await settingsOf(line, isPerson ? { lowest: await ownFolder(line, print) } : {})
  leaveWorkingDirectory(env)
  const options = stackOptions(env, line.switches.has('install'))
  await runProcess({ ...lifeOf('up', options.graceMs), start: (life) => up({ ...options, life, say: print }) })
  return 0
}

/** The stack of `muster mcp`, which listens at the other end of an IPC channel. */
async function runStack(args: readonly string[]): Promise<number> {
  const line = readStackLine(STACK_COMMAND, args)
  const { env } = await settingsOf(line, { envOnly: true })
  const options = stackOptions(env, line.switches.has('install'))
  await runProcess({ ...lifeOf('stack', options.graceMs), start: (life) => tellStart({ ...options, life, say }) })
  return 0
}

async function runMcp(args: readonly string[]): Promise<number> {
  const line = readStackLine('mcp', args)
  const cwd = workingDirectory()
  leaveWorkingDirectory(process.env)
  const write = process.stdout.write.bind(process.stdout)
  // Anything else that prints, such as a library, writes to stderr, where it does no harm.
  process.stdout.write = process.stderr.write.bind(process.stderr)
  const server = textOf(line, 'server')
  const allowInstall = line.switches.has('install')
  await runProcess({
    ...lifeOf('mcp', MCP_GRACE_MS),
    start: async (life) => {
      // Half of what this program loads, and no other command needs it.
      const { mcp } = await import('./mcp/mcp-command.ts')
      process.stdout.on('error', () => life.finish('the client is gone'))
      const own = { readSettings: () => settingsOf(line, { absoluteOnly: true, cwd }), server, allowInstall }
      await mcp({ life, ...own, stdin: process.stdin, write, say })
    },
  })
  return 0
}

function lifeOf(name: string, graceMs: number) {
  const logger = createLogger({ name, level: 'warn', pretty: true })
  return { logger, graceMs, exit: (status: number) => process.exit(status) }
}

function explain(error: unknown): number {
  if (error instanceof Refused) {
    const { code, next, nearest = [] } = error.problem
    const hint = nearest.length === 0 ? '' : `; nearest: ${nearest.join(', ')}`
    say(`muster: ${escapeLine(`${refusalText(error.problem)} (${code})${hint}`)}\n${next}`)
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

/** What was refused, with the flag at fault. For a job, a host or a command the detail is enough. */
function refusalText({ field, detail }: Problem): string {
  if (field === undefined || ['job_id', 'host', 'key_id', 'command', 'argv'].includes(field)) return detail
  return `${spelledField(field)}: ${detail.startsWith(`${field}: `) ? detail.slice(field.length + 2) : detail}`
}
