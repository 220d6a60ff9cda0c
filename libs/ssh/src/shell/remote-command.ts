/** A command to run on a host, and what cannot be one. launcher.ts makes shell text of it. */
import { MusterError } from '@muster/contract'
import type { Sudo } from './sudo.ts'

/** A command to run on a host. */
export type RemoteCommand = {
  readonly form:
    | { readonly command: string }
    | { readonly argv: readonly string[] }
    /** `args` are the arguments of the script. Its text is not part of its stdin. */
    | { readonly script: string | Buffer; readonly args?: readonly string[] }
  /** Absent: the command's input ends at once. */
  readonly stdin?: string | Buffer
  /** Absent: the account's home directory. */
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** Absent: it runs as the account. The account's shell reads a command text; under sudo it is always sh. */
  readonly sudo?: Sudo | undefined
}

/**
 * Refuses a command that no shell and no program can take.
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

/** A script's text is not checked: it travels as bytes, and its interpreter decides. */
function wordsOf(form: RemoteCommand['form']): readonly string[] {
  if ('argv' in form) return form.argv
  return 'command' in form ? [form.command] : (form.args ?? [])
}

/** What the command reads from its stdin; undefined for none. */
export function inputOf({ stdin }: RemoteCommand): Buffer | undefined {
  return stdin === undefined ? undefined : bytesOf(stdin)
}

/** The bytes of a text. A given Buffer is not copied: it may be large, and many runs may share it. */
export function bytesOf(text: string | Buffer): Buffer {
  return Buffer.isBuffer(text) ? text : Buffer.from(text)
}

/** The directory as `cd` takes it in any shell: "-" and CDPATH do not affect a path that begins with a dot or slash. */
export function pathForCd(directory: string): string {
  return /^\.{0,2}\//.test(directory) ? directory : `./${directory}`
}
