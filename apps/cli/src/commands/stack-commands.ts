/** The commands that bring up the stack: `up`, `mcp`, and what `mcp` starts. */
import { join } from 'node:path'
import { MusterError, ToolProfile, toolProfileOf } from '@muster/contract'
import {
  createLogger,
  type Life,
  leaveWorkingDirectory,
  readSettings,
  runProcess,
  type SettingsRequest,
  workingDirectory,
} from '@muster/runtime'
import { type Command, ENV_FILE_SWITCH, type Form, type Program, SERVER_SWITCH } from '../line/command.ts'
import { type CommandLine, textOf } from '../line/flags.ts'
import { settingsOf, settingsRequest } from '../line/line-settings.ts'
import { startStack } from '../stack/embedded-stack.ts'
import { readOwnFolder } from '../stack/own-folder.ts'
import { STACK_COMMAND } from '../stack/stack-process.ts'
import { stackOptions, tellStart } from '../stack/stack-start.ts'

const STACK: Form & Pick<Command, 'unlisted'> = {
  flags: [],
  switches: [
    { name: 'install', takesValue: false, description: 'Install Redis if it is missing.' },
    { name: 'inventory', takesValue: true, description: 'The file with hosts and groups.' },
    ENV_FILE_SWITCH,
  ],
  unlisted: [],
}

/** Every part has its own limit, far below this one. */
const MCP_GRACE_MS = 2 * 3_600_000

/** `muster up`: the stack in the foreground, with a few lines about it for people. */
export const upCommand: Command = {
  ...STACK,
  run: async (program, line) => {
    refuseWords('up', line)
    const say = (text: string) => program.out(`${text}\n`)
    const isPerson = program.hasTerminal && program.isTerminal
    const { env } = await settingsOf(program, line, isPerson ? { lowest: await ownFolder(program, line, say) } : {})
    leaveWorkingDirectory(env)
    const options = stackOptions(env, line.switches.has('install'))
    await runAs('up', program, {
      graceMs: options.graceMs,
      start: async (life) => {
        const { url } = await startStack({ ...options, life, say })
        say(`Muster is up: ${url} (${options.workerProcesses} workers)`)
        say(`API key: ${join(options.dataDir, 'api-key')} · API: ${url}/docs · Bull Board: ${url}/board`)
        say('Try: muster hosts, then: muster run <targets> -- uptime    (Ctrl-C stops everything)')
      },
    })
    return 0
  },
}

/** The stack of `muster mcp`, a process of its own at the other end of an IPC channel. It is not for people. */
export const mcpStackCommand: Command = {
  ...STACK,
  run: async (program, line) => {
    refuseWords(STACK_COMMAND, line)
    const { say } = program
    const { env } = await settingsOf(program, line, { envOnly: true })
    const options = stackOptions(env, line.switches.has('install'))
    await runAs('stack', program, {
      graceMs: options.graceMs,
      start: (life) => tellStart({ ...options, life, say }),
    })
    return 0
  },
}

/** `muster mcp`: the tools on stdin and stdout, for AI clients. */
export const mcpCommand: Command = {
  ...STACK,
  switches: [
    ...STACK.switches,
    {
      name: 'tools',
      takesValue: true,
      description: `The set of tools to offer: ${ToolProfile.options.join(' or ')}.`,
    },
    SERVER_SWITCH,
  ],
  run: async (program, line) => {
    refuseWords('mcp', line)
    const profile = toolProfileOf(textOf(line, 'tools'), '--tools')
    const { env, say } = program
    const cwd = workingDirectory()
    leaveWorkingDirectory(env)
    const { stdin, stdout, stderr } = process
    const write = stdout.write.bind(stdout)
    // Anything else that prints, such as a library, writes to stderr, where it does no harm.
    stdout.write = stderr.write.bind(stderr)
    await runAs('mcp', program, {
      graceMs: MCP_GRACE_MS,
      start: async (life) => {
        // Half of what this program loads, and no other command needs it.
        const { mcp } = await import('../mcp/mcp-command.ts')
        stdout.on('error', () => life.finish('the client is gone'))
        const readSettings = () => settingsOf(program, line, { absoluteOnly: true, cwd })
        const given = { server: textOf(line, 'server'), allowInstall: line.switches.has('install') }
        await mcp({ life, readSettings, profile, ...given, stdin, write, say })
      },
    })
    return 0
  },
}

function refuseWords(name: string, { words: [word] }: CommandLine): void {
  if (word === undefined) return
  throw new MusterError('invalid_request', `muster ${name} takes no words; given "${word}"`)
}

/** What the working directory sets for `muster up` on a terminal; its first line says so. */
async function ownFolder(
  { env, say }: Program,
  line: CommandLine,
  print: (text: string) => void,
): Promise<SettingsRequest['lowest']> {
  const cwd = workingDirectory()
  if (cwd === undefined) return {}
  const folder = await readOwnFolder(cwd, await readSettings(settingsRequest(env, line)))
  if (folder.line !== undefined) print(folder.line)
  for (const note of folder.notes) say(note)
  return folder.values
}

async function runAs(
  name: string,
  { exit }: Program,
  { graceMs, start }: { readonly graceMs: number; readonly start: (life: Life) => Promise<unknown> },
): Promise<void> {
  await runProcess({ logger: createLogger({ name, level: 'warn', pretty: true }), exit, graceMs, start })
}
