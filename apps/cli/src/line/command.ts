/** The forms of a `muster` command, and what each is given. */
import type { Environment } from '@muster/runtime'
import type { Client } from '../client/client.ts'
import type { CommandLine, Flag, Switch } from './flags.ts'
import type { Interrupts } from './interrupts.ts'
import type { ProgressStream } from './progress.ts'

/** The program around a command: its environment, its streams, and the person at the terminal. */
export type Program = {
  readonly env: Environment
  /** Writes results to stdout, for programs and people. */
  readonly out: (text: string | Buffer) => void
  /** Writes everything besides the result to stderr, a line at a time. */
  readonly say: (line: string) => void
  readonly stderr: ProgressStream
  /** Whether stdout is a terminal. */
  readonly isTerminal: boolean
  /** Whether a person can be asked on our stdin. */
  readonly hasTerminal: boolean
  /** Asks for a secret without showing it, or reads it from a pipe. */
  readonly askSecret: (question: string) => Promise<string>
  /** Ends the process at once. */
  readonly exit: (status: number) => void
}

/** What a command that talks to a server is given. */
export type Cli = Pick<Program, 'out' | 'say' | 'stderr' | 'isTerminal' | 'hasTerminal' | 'askSecret' | 'env'> & {
  readonly client: Client
  readonly interrupts: Interrupts
}

/** The flags and switches of a command; its help is made from them. */
export type Form = { readonly flags: readonly Flag[]; readonly switches: readonly Switch[] }

/** A command. `run` resolves with the exit status. */
export type Command = Form & {
  /** Switches that its help leaves out: the overview has them. */
  readonly unlisted: readonly Switch[]
  /** Set when words after `--` mean something to it; otherwise they are refused. */
  readonly takesCommand?: true
  readonly run: (program: Program, line: CommandLine) => Promise<number>
}

/** A command that talks to a server: `on-server.ts` gives it one. `act` resolves with the exit status. */
export type ServerCommand = Form &
  Pick<Command, 'takesCommand'> & {
    readonly act: (cli: Cli, line: CommandLine) => Promise<number>
  }

/** The switch of every command. */
export const JSON_SWITCH: Switch = { name: 'json', takesValue: false, description: 'Print the answer as JSON.' }

/** The switch of every command, for settings from a file. */
export const ENV_FILE_SWITCH: Switch = {
  name: 'env-file',
  takesValue: true,
  description: "A file with Muster's own settings, one NAME=value a line.",
}

/** The switch of every command that talks to a server. */
export const SERVER_SWITCH: Switch = {
  name: 'server',
  takesValue: true,
  description: 'A server that you have logged in to (muster login), by its name.',
}

/** The switch of the commands that wait. */
export const WAIT_SWITCH: Switch = {
  name: 'wait-s',
  takesValue: true,
  description: 'Stop waiting after this many seconds (exit 124); the job goes on.',
}
