/** A command as it is to run on a host, and what cannot be one. Becomes shell text in launcher.ts. */
import { MusterError } from '@muster/contract'
import type { Sudo } from './sudo.ts'

/** A command as it is to run on a host. */
export type RemoteCommand = {
  readonly form:
    | { readonly command: string }
    | { readonly argv: readonly string[] }
    /** `args` are the arguments of the script; its text is no part of its stdin. */
    | { readonly script: string | Buffer; readonly args?: readonly string[] }
  /** Absent: the command sees the end of its input at once. */
  readonly stdin?: string | Buffer
  /** Absent: the directory the account logs in to. */
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** Absent: it runs as the account. A command text is then read by the account's shell, under sudo always by sh. */
  readonly sudo?: Sudo | undefined
}

/**
 * Refuses what no shell and no program takes.
 * @throws {MusterError} invalid_request: a NUL character, a malformed variable name, or no program.
 */
export function checkCommand({ form, cwd = '', env = {} }: RemoteCommand): void {
  if ('argv' in form && form.argv.length === 0) {
    throw new MusterError('invalid_request', 'argv is empty: give at least the program', { details: { field: 'argv' } })
  }
  const badName = Object.keys(env).find((name) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
  if (badName !== undefined) {
    const message = `${JSON.stringify(badName)} is no name for an environment variable: use letters, digits and "_"`
    throw new MusterError('invalid_request', message, { details: { field: 'env' } })
  }
  if ([...wordsOf(form), cwd, ...Object.values(env)].some((word) => word.includes('\0'))) {
    throw new MusterError('invalid_request', 'a command, argument, directory or variable contains a NUL character')
  }
}

/** A script's text is not looked at: it travels as bytes, and its interpreter decides. */
function wordsOf(form: RemoteCommand['form']): readonly string[] {
  if ('argv' in form) return form.argv
  return 'command' in form ? [form.command] : (form.args ?? [])
}

/** What the command reads from its stdin; undefined when that is at its end at once. */
export function inputOf({ stdin }: RemoteCommand): Buffer | undefined {
  return stdin === undefined ? undefined : bytesOf(stdin)
}

/** The bytes of a text. Those that are given stay the same: many runs may share them, and they may be many. */
export function bytesOf(text: string | Buffer): Buffer {
  return Buffer.isBuffer(text) ? text : Buffer.from(text)
}

/** The directory as `cd` takes it in any shell: "-" and CDPATH mean nothing for a path that begins so. */
export function pathForCd(directory: string): string {
  return /^\.{0,2}\//.test(directory) ? directory : `./${directory}`
}
