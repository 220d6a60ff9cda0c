/** What a command of `muster` is, and what every command is given. */
import type { Client } from '../client/client.ts'
import type { CommandLine, Flag, Switch } from './flags.ts'
import type { Interrupts } from './interrupts.ts'
import type { ProgressStream } from './progress.ts'

/** The surroundings of a command. */
export type Cli = {
  readonly client: Client
  readonly interrupts: Interrupts
  /** Results, for programs and people. */
  readonly out: (text: string | Buffer) => void
  readonly isTerminal: boolean
  /** Everything that is said beside the result, a line each; on stderr. */
  readonly say: (line: string) => void
  readonly stderr: ProgressStream
}

/** What a command can be given besides words; its help is made from this. */
export type Form = { readonly flags: readonly Flag[]; readonly switches: readonly Switch[] }

/** A command that talks to a server; answers the exit status. */
export type Command = Form & {
  /** Whether words behind `--` mean something to it; else they are refused. */
  readonly takesCommand?: true
  readonly act: (cli: Cli, line: CommandLine) => Promise<number>
}

/** Every command has it. */
export const JSON_SWITCH: Switch = { name: 'json', takesValue: false, description: 'Print the answer as JSON.' }

/** Of the commands that wait. */
export const WAIT_SWITCH: Switch = {
  name: 'wait-s',
  takesValue: true,
  description: 'Stop waiting after so many seconds (exit 124); the job goes on.',
}
