/** The form of a `muster` command, and what every command is given. */
import type { Client } from '../client/client.ts'
import type { CommandLine, Flag, Switch } from './flags.ts'
import type { Interrupts } from './interrupts.ts'
import type { ProgressStream } from './progress.ts'

/** The surroundings of a command. */
export type Cli = {
  readonly client: Client
  readonly interrupts: Interrupts
  /** Writes results to stdout, for programs and people. */
  readonly out: (text: string | Buffer) => void
  readonly isTerminal: boolean
  /** Writes everything besides the result to stderr, a line at a time. */
  readonly say: (line: string) => void
  readonly stderr: ProgressStream
  /** Whether a person can be asked on our stdin. */
  readonly hasTerminal: boolean
  /** Asks for a secret without showing it, or reads it from a pipe. */
  readonly askSecret: (question: string) => Promise<string>
  /** A variable of the environment. */
  readonly variable: (name: string) => string | undefined
}

/** The flags and switches of a command; its help is made from them. */
export type Form = { readonly flags: readonly Flag[]; readonly switches: readonly Switch[] }

/** A command that talks to a server. Resolves with the exit status. */
export type Command = Form & {
  /** Set when words after `--` mean something to it; otherwise they are refused. */
  readonly takesCommand?: true
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
